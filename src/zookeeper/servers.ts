import { GatewayError } from '../core/errors.ts'

/** One server of an ensemble. */
export interface Server {
  /** As it was written, for messages. */
  readonly name: string
  /** IPv6 without brackets. */
  readonly host: string
  readonly port: number
}

/** Where servers listen for clients when nobody says otherwise. */
const DEFAULT_PORT = 2181

/** `host`, `host:port`, `[::1]:2181`. Undefined when it is none of them. */
export function parseServer(text: string): Server | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9_.-]+))(?::(\d{1,5}))?$/.exec(text.trim())
  if (match === null) return undefined
  const port = match[3] === undefined ? DEFAULT_PORT : Number(match[3])
  if (port < 1 || port > 65_535) return undefined
  return { name: text.trim(), host: match[1] ?? match[2] ?? '', port }
}

/** `/services`, not `services`, `/a/` or `/a//b`: an absolute path of nodes. `/` alone is one, too. */
export function isNodePath(path: string): boolean {
  return (
    path === '/' ||
    /^(?:\/(?!\.{1,2}(?:\/|$))[^/\u0000-\u001f\u007f-\u009f\ud800-\uf8ff\ufff0-\uffff]+)+$/.test(path)
  )
}

/** A child of a node. */
export function childPath(parent: string, name: string): string {
  return parent === '/' ? `/${name}` : `${parent}/${name}`
}

/** Servers of a configuration. Throws GW_REGISTRY_ANSWER for one that is none. */
export function parseServers(list: readonly string[]): Server[] {
  return list.map((text) => {
    const server = parseServer(text)
    if (server === undefined) throw new GatewayError('GW_REGISTRY_ANSWER', `"${text}" is no host:port`)
    return server
  })
}
