import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { errorText } from '../core/errors.ts'
import type { Algorithm } from '../core/token-algorithms.ts'
import { allowedAlgorithm, claimProblem, isSigned, type JwtRules, type ParsedJwt, parseJwt } from './jwt.ts'
import type { KeySource } from './key-source.ts'
import type { IdentityProvider, ProviderDeps, TokenFailure, TokenVerdict } from './provider.ts'
import { deepFreeze } from './strict-json.ts'

/** Longer tokens are checked each time. Characters. */
const MAX_REMEMBERED_LENGTH = 4096

export interface JwtProviderOptions {
  readonly name: string
  readonly rules: JwtRules
  /** Checked tokens that are remembered. 0 = none. */
  readonly cacheEntries: number
  /** How long; never beyond `exp`. ms. */
  readonly cacheMs: number
}

interface Remembered {
  readonly verdict: TokenVerdict
  readonly keyId: string
  /** ms since the epoch. */
  readonly until: number
}

const UNAVAILABLE: TokenVerdict = { kind: 'unavailable' }
const invalid = (reason: TokenFailure): TokenVerdict => ({ kind: 'invalid', reason })

/** Checks signed tokens (RFC 7519) by the keys of one issuer. */
export class JwtProvider implements IdentityProvider {
  readonly kind = 'jwt'
  readonly name: string
  readonly realm: string
  readonly #options: JwtProviderOptions
  readonly #keys: KeySource
  readonly #deps: ProviderDeps
  readonly #remembered: LRUCache<string, Remembered> | undefined
  /** By token: one check for all requests that bring it meanwhile. */
  readonly #inFlight = new Map<string, Promise<TokenVerdict>>()

  constructor(options: JwtProviderOptions, keys: KeySource, deps: ProviderDeps) {
    this.name = options.name
    this.realm = options.rules.issuer
    this.#options = options
    this.#keys = keys
    this.#deps = deps
    if (options.cacheEntries > 0) this.#remembered = new LRUCache({ max: options.cacheEntries })
  }

  verify(token: string): TokenVerdict | Promise<TokenVerdict> {
    const id = this.#idOf(token)
    const known = id === undefined ? undefined : this.#recall(id)
    if (known !== undefined) return known
    const jwt = parseJwt(token)
    if (jwt === undefined) return invalid('malformed')
    const algorithm = allowedAlgorithm(jwt, this.#options.rules)
    if (algorithm === undefined) return invalid('algorithm')
    // Before any key is looked for: a token of somebody else must not make us ask the issuer for keys.
    const problem = claimProblem(jwt, this.#options.rules, this.#deps.clock.now() / 1000)
    if (problem !== undefined) return invalid(problem)
    const running = this.#inFlight.get(token)
    if (running !== undefined) return running
    const checked = this.#check(jwt, algorithm, id).finally(() => this.#inFlight.delete(token))
    this.#inFlight.set(token, checked)
    return checked
  }

  #idOf(token: string): string | undefined {
    if (this.#remembered === undefined || token.length > MAX_REMEMBERED_LENGTH) return undefined
    return hash('sha256', token, 'base64url')
  }

  #recall(id: string): TokenVerdict | undefined {
    const entry = this.#remembered?.get(id)
    if (entry === undefined) return undefined
    // A key that the issuer took back takes its tokens with it.
    if (entry.until > this.#deps.clock.now() && this.#keys.current()?.has(entry.keyId) === true)
      return entry.verdict
    this.#remembered?.delete(id)
    return undefined
  }

  async #check(jwt: ParsedJwt, algorithm: Algorithm, id: string | undefined): Promise<TokenVerdict> {
    const candidates = () => this.#keys.current()?.candidates(algorithm, jwt.kid)
    const isThere = () => (candidates()?.length ?? 0) > 0
    const isFresh = isThere() || (await this.#keys.refetch(isThere))
    const found = candidates()
    if (found === undefined) return UNAVAILABLE
    // With the issuer away it may well be a new key of its own.
    if (found.length === 0) return isFresh ? invalid('unknown_key') : UNAVAILABLE
    try {
      for (const { id: keyId, key } of found) {
        if (await isSigned(jwt, algorithm, key)) return this.#remember(jwt, id, keyId)
      }
    } catch (thrown) {
      this.#deps.log.warn({ provider: this.name, err: errorText(thrown) }, 'a token could not be checked')
      return UNAVAILABLE
    }
    return invalid('signature')
  }

  #remember({ claims }: ParsedJwt, id: string | undefined, keyId: string): TokenVerdict {
    const verdict: TokenVerdict = { kind: 'valid', claims: deepFreeze(claims) }
    const now = this.#deps.clock.now()
    const until = Math.min(Number(claims['exp']) * 1000, now + this.#options.cacheMs)
    if (id !== undefined && until > now) this.#remembered?.set(id, { verdict, keyId, until })
    return verdict
  }

  check(): Promise<void> {
    return this.#keys.check()
  }

  start(): Promise<void> {
    return this.#keys.start()
  }

  keyAgeSeconds(): number | undefined {
    return this.#keys.ageSeconds()
  }

  close(): Promise<void> {
    return this.#keys.close()
  }
}
