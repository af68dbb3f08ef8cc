import type { Clock, Random } from '../core/duration.ts'
import type { JsonObject } from './strict-json.ts'

/** Why a token is refused. For metrics and logs; clients hear only that it is not valid. */
export const TOKEN_FAILURES = [
  'malformed',
  'algorithm',
  'unknown_key',
  'signature',
  'expired',
  'not_yet',
  'issuer',
  'audience',
  'type',
  'claims',
  'inactive',
] as const
export type TokenFailure = (typeof TOKEN_FAILURES)[number]

/** What a provider says of a token. */
export type TokenVerdict =
  /** `claims` is frozen, and the same object each time while the token is remembered. */
  | { readonly kind: 'valid'; readonly claims: JsonObject }
  | { readonly kind: 'invalid'; readonly reason: TokenFailure }
  /** Nobody can tell now: no keys, no answer of the issuer. */
  | { readonly kind: 'unavailable' }

/** One of the configured `identityProviders`: says whose a token is. */
export interface IdentityProvider {
  readonly name: string
  readonly kind: 'jwt' | 'introspection'
  /** Ids of two realms are two principals. */
  readonly realm: string
  /** Never throws or rejects; synchronous where it can be. */
  verify(token: string): TokenVerdict | Promise<TokenVerdict>
  /** Looks at what is on this machine. Throws what makes the configuration unacceptable: a file without keys. */
  check(): Promise<void>
  /** Resolves when tokens can be checked, or when that takes too long: it goes on behind. Never rejects. */
  start(): Promise<void>
  /** Age of the keys in use, seconds; undefined = it has none (or needs none). */
  keyAgeSeconds(): number | undefined
  close(): Promise<void>
}

/** What providers need of the gateway. */
export interface ProviderDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: { warn(fields: object, text: string): void; info(fields: object, text: string): void }
  /** Of what was asked of an issuer. `kept`: the document was of no use, the old keys stay. */
  onFetch(provider: string, result: FetchResult): void
  /** Calls back when the content of a file changed. Returns how to stop. */
  watchFiles(paths: readonly string[], onChange: () => void | Promise<void>): () => void
}

/** `failed`: no answer or an error; `rejected`: an answer that is of no use; the old keys stay in both cases. */
export type FetchResult = 'ok' | 'failed' | 'rejected'
