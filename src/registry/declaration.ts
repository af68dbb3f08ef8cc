import { GatewayError } from '../core/errors.ts'

/** One declaration as read from a tag or from metadata. */
export interface Declaration {
  /** `` = any host. */
  readonly host: string
  readonly path: string
  readonly strip?: string
  readonly methods?: readonly string[]
  readonly priority?: number
  readonly redirect?: { readonly status: 301 | 302 | 303 | 307 | 308; readonly url: URL }
  readonly hostMode?: 'upstream' | { readonly value: string }
  readonly allowNetworks?: readonly string[]
}

const HOST = /^(?:\*{1,2}\.)?[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/
const PATH = /^\/(?:[^\s\\#?;*{}%]|%[0-9A-F]{2})*$/

/** Splits `shop.example.com/cart` into host and path. Throws GW_REGISTRY_ANSWER. */
export function splitPlace(text: string): { host: string; path: string } {
  const slash = text.indexOf('/')
  if (slash === -1) throw new GatewayError('GW_REGISTRY_ANSWER', `"${text}" has no path: write host/path`)
  const host = text.slice(0, slash).toLowerCase().replace(/\.$/, '')
  const path = text.slice(slash)
  if (host !== '' && !HOST.test(host)) throw new GatewayError('GW_REGISTRY_ANSWER', `"${host}" is no host`)
  if (!PATH.test(path) || /\/\/|\/\.{1,2}(?:\/|$)/.test(path)) {
    throw new GatewayError('GW_REGISTRY_ANSWER', `"${path}" is no normalised path`)
  }
  return { host, path }
}
