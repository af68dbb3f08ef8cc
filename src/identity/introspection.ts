import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { errorText } from '../core/errors.ts'
import type { HttpClient } from './http.ts'
import { MAX_TOKEN_LENGTH } from './jwt.ts'
import type { IdentityProvider, ProviderDeps, TokenFailure, TokenVerdict } from './provider.ts'
import { deepFreeze, type JsonObject, parseStrictObject } from './strict-json.ts'

/** Of an answer. Bytes. */
const MAX_ANSWER_BYTES = 65_536

/** What a bearer token may look like (RFC 6750 §2.1); nothing else is sent to the issuer. */
const BEARER_TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/

export interface IntrospectionOptions {
  readonly name: string
  readonly url: URL
  /** Wanted `iss`, where an answer has one; also the realm of principals. */
  readonly issuer: string
  /** Any of them must be in `aud`; empty = not looked at. */
  readonly audiences: readonly string[]
  readonly clientId: string
  readonly clientSecret: string
  readonly clientAuth: 'basic' | 'post'
  readonly timeoutMs: number
  /** Questions under way at once; beyond that tokens count as unknown. */
  readonly maxInFlight: number
  readonly cacheEntries: number
  /** How long "active" is believed; never beyond `exp`. ms; 0 = not at all. */
  readonly activeMs: number
  /** How long "not active" is believed. ms; 0 = not at all. */
  readonly inactiveMs: number
  readonly skewSeconds: number
}

interface Remembered {
  readonly verdict: TokenVerdict
  /** ms since the epoch. */
  readonly until: number
}

const UNAVAILABLE: TokenVerdict = { kind: 'unavailable' }
const invalid = (reason: TokenFailure): TokenVerdict => ({ kind: 'invalid', reason })

/** Asks the issuer about each token (RFC 7662) and remembers what it said for a short while. */
export class IntrospectionProvider implements IdentityProvider {
  readonly kind = 'introspection'
  readonly name: string
  readonly realm: string
  readonly #options: IntrospectionOptions
  readonly #http: HttpClient
  readonly #deps: ProviderDeps
  readonly #remembered: LRUCache<string, Remembered>
  readonly #inFlight = new Map<string, Promise<TokenVerdict>>()

  constructor(options: IntrospectionOptions, http: HttpClient, deps: ProviderDeps) {
    this.name = options.name
    this.realm = options.issuer
    this.#options = options
    this.#http = http
    this.#deps = deps
    this.#remembered = new LRUCache({ max: options.cacheEntries })
  }

  verify(token: string): TokenVerdict | Promise<TokenVerdict> {
    if (token.length > MAX_TOKEN_LENGTH || !BEARER_TOKEN.test(token)) return invalid('malformed')
    const id = hash('sha256', token, 'base64url')
    const known = this.#remembered.get(id)
    if (known !== undefined && known.until > this.#deps.clock.now()) return known.verdict
    const running = this.#inFlight.get(id)
    if (running !== undefined) return running
    if (this.#inFlight.size >= this.#options.maxInFlight) return UNAVAILABLE
    const asked = this.#ask(token, id).finally(() => this.#inFlight.delete(id))
    this.#inFlight.set(id, asked)
    return asked
  }

  async #ask(token: string, id: string): Promise<TokenVerdict> {
    const { name, url, timeoutMs } = this.#options
    const form = new URLSearchParams({ token, token_type_hint: 'access_token' })
    const headers: Record<string, string> = { 'content-type': 'application/x-www-form-urlencoded' }
    this.#identify(form, headers)
    let answer: JsonObject | undefined
    try {
      const body = form.toString()
      const bytes = await this.#http.ask({
        ...{ url, method: 'POST', headers, body, timeoutMs },
        maxBytes: MAX_ANSWER_BYTES,
      })
      answer = parseStrictObject(bytes)
    } catch (thrown) {
      this.#deps.onFetch(name, 'failed')
      this.#deps.log.warn({ provider: name, err: errorText(thrown) }, 'a token could not be asked about')
      return UNAVAILABLE
    }
    const active = answer?.['active']
    if (answer === undefined || typeof active !== 'boolean') {
      this.#deps.onFetch(name, 'rejected')
      this.#deps.log.warn({ provider: name }, 'the answer about a token is none (RFC 7662 §2.2)')
      return UNAVAILABLE
    }
    this.#deps.onFetch(name, 'ok')
    return this.#remember(id, answer, active ? this.#judge(answer) : invalid('inactive'))
  }

  /** RFC 6749 §2.3.1: name and secret are form-encoded before they are joined. */
  #identify(form: URLSearchParams, headers: Record<string, string>): void {
    const { clientId, clientSecret, clientAuth } = this.#options
    if (clientAuth === 'post') {
      form.set('client_id', clientId)
      form.set('client_secret', clientSecret)
      return
    }
    const encode = (text: string) => new URLSearchParams({ '': text }).toString().slice(1)
    const pair = Buffer.from(`${encode(clientId)}:${encode(clientSecret)}`).toString('base64')
    headers['authorization'] = `Basic ${pair}`
  }

  /** An issuer that says "active" is still held to what it says beside that. */
  #judge(answer: JsonObject): TokenVerdict {
    const { issuer, audiences, skewSeconds } = this.#options
    const { iss, aud, exp, nbf } = answer as Record<string, unknown>
    const now = this.#deps.clock.now() / 1000
    if (iss !== undefined && iss !== issuer) return invalid('issuer')
    if (exp !== undefined && typeof exp !== 'number') return invalid('claims')
    if (exp !== undefined && exp + skewSeconds <= now) return invalid('expired')
    if (nbf !== undefined && typeof nbf !== 'number') return invalid('claims')
    if (nbf !== undefined && nbf - skewSeconds > now) return invalid('not_yet')
    const list: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
    const isForUs = list.some((each) => typeof each === 'string' && audiences.includes(each))
    if (audiences.length > 0 && !isForUs) return invalid('audience')
    return { kind: 'valid', claims: deepFreeze(answer) }
  }

  #remember(id: string, answer: JsonObject, verdict: TokenVerdict): TokenVerdict {
    const { activeMs, inactiveMs } = this.#options
    const now = this.#deps.clock.now()
    const { exp } = answer as Record<string, unknown>
    const limit = typeof exp === 'number' ? exp * 1000 : Number.POSITIVE_INFINITY
    const until = verdict.kind === 'valid' ? Math.min(limit, now + activeMs) : now + inactiveMs
    if (until > now) this.#remembered.set(id, { verdict, until })
    return verdict
  }

  check(): Promise<void> {
    return Promise.resolve()
  }

  start(): Promise<void> {
    return Promise.resolve()
  }

  keyAgeSeconds(): undefined {
    return undefined
  }

  close(): Promise<void> {
    return this.#http.close()
  }
}
