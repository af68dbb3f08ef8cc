import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { allowedAlgorithm, claimProblem, isSigned, type JwtRules, type ParsedJwt, parseJwt } from './jwt.ts'
import type { KeySet } from './key-set.ts'
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
    const set = this.#keys.current()
    if (set !== undefined && set.candidates(algorithm, jwt.kid).length > 0) {
      return this.#check(jwt, id, set)
    }
    const isThere = () => (this.#keys.current()?.candidates(algorithm, jwt.kid).length ?? 0) > 0
    return this.#keys.refetch(isThere).then((isFresh) => {
      const fresh = this.#keys.current()
      if (fresh === undefined) return UNAVAILABLE
      const verdict = this.#check(jwt, id, fresh)
      // With the issuer away it may well be a new key of its own.
      const isUnknown = verdict.kind === 'invalid' && verdict.reason === 'unknown_key'
      return isUnknown && !isFresh ? UNAVAILABLE : verdict
    })
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

  #check(jwt: ParsedJwt, id: string | undefined, set: KeySet): TokenVerdict {
    const algorithm = allowedAlgorithm(jwt, this.#options.rules)
    if (algorithm === undefined) return invalid('algorithm')
    const candidates = set.candidates(algorithm, jwt.kid)
    if (candidates.length === 0) return invalid('unknown_key')
    const key = candidates.find((each) => isSigned(jwt, algorithm, each.key))
    if (key === undefined) return invalid('signature')
    const verdict: TokenVerdict = { kind: 'valid', claims: deepFreeze(jwt.claims) }
    const now = this.#deps.clock.now()
    const until = Math.min(Number(jwt.claims['exp']) * 1000, now + this.#options.cacheMs)
    if (id !== undefined && until > now) this.#remembered?.set(id, { verdict, keyId: key.id, until })
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
