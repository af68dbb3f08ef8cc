import { z } from 'zod'
import { GatewayError } from '../core/errors.ts'
import type { Principal } from '../core/principal.ts'
import type { RedisStore } from '../core/redis-store.ts'
import { parseEntries, placed, readText } from '../identity/entry-file.ts'
import { createKeyRing, type KeyEntry, keyDigest, keyEntrySchema, usability } from '../identity/key-ring.ts'
import { KeyStore } from '../identity/key-store.ts'
import { LastGood } from '../identity/last-good.ts'
import { durationOption } from './duration-option.ts'
import { defineFilter, type FilterContext, type FilterDeps, type FilterReply } from './filter.ts'
import { headerName, headerToken } from './header-options.ts'
import {
  allowOption,
  challenge,
  counted,
  fileOption,
  identify,
  leaveChallenge,
  principalHeadersOption,
  realmOption,
  reloadOnChange,
} from './identity-options.ts'
import { untilReady } from './store-ready.ts'
import { type TokenLocation, tokenPlace } from './token-locations.ts'

const store = z.strictObject({
  name: z.string().describe('Of `stores`.'),
  prefix: z
    .string()
    .default('key:')
    .describe('Before the digest, after the store’s keyPrefix. Default key:.'),
  cache: durationOption().default(30_000).describe('A known key is asked for again after this. Default 30s.'),
  negativeCache: durationOption().default(5000).describe('The same for an unknown key. Default 5s.'),
  stale: durationOption()
    .default(300_000)
    .describe(
      'While the store is down, a key that was read is good for this long. 0 = not at all. Default 5m.',
    ),
  entries: z.int().min(1).default(10_000).describe('Known and unknown keys remembered, each. Default 10000.'),
})

const options = z
  .strictObject({
    header: z
      .union([headerName(), z.literal(false)])
      .default('x-api-key')
      .describe('Header with the key; false = none. Default x-api-key.'),
    scheme: headerToken().optional().describe('Also `Authorization: SCHEME key`. Default: no.'),
    cookie: headerToken().optional().describe('Also this cookie. Default: no.'),
    query: z
      .string()
      .min(1)
      .optional()
      .describe('Also this query parameter; such keys end up in logs of others. Default: no.'),
    file: fileOption().optional().describe('YAML or JSON with a list `keys`; read again when it changes.'),
    keys: z.array(keyEntrySchema).default([]).describe('Keys written here.'),
    store: store.optional().describe('Keys in Redis: a hash PREFIX + SHA-256 (hex) for each.'),
    allow: allowOption(),
    realm: realmOption(),
    headers: principalHeadersOption(),
    forward: z.boolean().default(false).describe('Let the key go on to the service. Default false.'),
  })
  .superRefine(({ file, keys, store, header, scheme, cookie, query, forward }, ctx) => {
    const message = (text: string) => ctx.addIssue({ code: 'custom', message: text })
    if (file === undefined && keys.length === 0 && store === undefined) message('name keys, file or store')
    if (header === false && scheme === undefined && cookie === undefined && query === undefined) {
      message('name a place for the key: header, scheme, cookie or query')
    }
    if (forward && query !== undefined)
      message('a key in the query cannot be forwarded: it would stand in logs')
  })

type Options = z.output<typeof options>

/** Random keys of 128 bits and more are this long; anything else is not worth a look. */
const KEY = /^[\x21-\x7e]{16,512}$/

interface Found {
  /** Every place that a key may be in was empty: undefined. Several different ones: none of them counts. */
  readonly key: string | undefined
  readonly isThere: boolean
}

/** What the places of a request hold; takes it away, so that the service does not see it. */
function createReader({ header, scheme, cookie, query, forward }: Options): (ctx: FilterContext) => Found {
  const locations: TokenLocation[] = []
  if (header !== false) locations.push({ header })
  if (scheme !== undefined) locations.push({ header: 'authorization', prefix: scheme })
  if (cookie !== undefined) locations.push({ cookie })
  if (query !== undefined) locations.push({ query })
  const places = locations.map(tokenPlace)
  return (ctx) => {
    const found = places.flatMap((place) => place.find(ctx))
    if (!forward) for (const place of places) place.strip(ctx)
    const [first] = found
    return { isThere: first !== undefined, key: found.every((each) => each === first) ? first : undefined }
  }
}

function principalOf(entry: KeyEntry, filter: string, realm: string): Principal {
  const { id, owner, roles, groups, scopes, metadata } = entry
  return {
    id: owner,
    kind: 'api-key',
    filter,
    realm,
    claims: { ...metadata, key: id },
    roles,
    groups,
    scopes,
  }
}

function createKeyStore(
  settings: NonNullable<Options['store']>,
  redis: RedisStore,
  deps: FilterDeps,
): KeyStore {
  return new KeyStore(redis, {
    prefix: settings.prefix,
    ttlMs: settings.cache,
    negativeTtlMs: settings.negativeCache,
    staleMs: settings.stale,
    entries: settings.entries,
    clock: deps.clock,
    onBadRecord: (problem) =>
      deps.log.warn({ filter: deps.name, err: problem }, 'a key in the store cannot be read, it is refused'),
  })
}

/** API keys, hashed at rest in files, configuration or Redis. 401 GW_AUTH_MISSING, _INVALID, _EXPIRED. */
export const apiKey = defineFilter({
  name: 'api-key',
  summary:
    'API keys from a header, hashed at rest in a file, in the configuration or in Redis; others get 401.',
  options,
  create(settings, deps) {
    const { file, keys, allow, headers, realm = deps.name } = settings
    const read = createReader(settings)
    const authenticate = `ApiKey realm="${realm}"`
    const held = new LastGood(async () => {
      const fromFile =
        file === undefined ? [] : parseEntries(file, await readText(file), 'keys', keyEntrySchema)
      return createKeyRing([...placed('keys', keys), ...fromFile])
    })
    const redis = settings.store === undefined ? undefined : deps.resources.store(settings.store.name)
    const keyStore =
      settings.store === undefined || redis === undefined
        ? undefined
        : createKeyStore(settings.store, redis, deps)
    reloadOnChange(deps, [file], held)

    const judge = (ctx: FilterContext, entry: KeyEntry | undefined): FilterReply | undefined => {
      const use = entry === undefined ? 'unknown' : usability(entry, deps.clock.now())
      if (entry === undefined || use !== 'usable') {
        const refusal = challenge(use === 'expired' ? 'GW_AUTH_EXPIRED' : 'GW_AUTH_INVALID', authenticate)
        return { ...refusal, reason: entry === undefined ? 'no such key' : `key ${entry.id}: ${use}` }
      }
      return identify(ctx, principalOf(entry, deps.name, realm), headers)
    }
    const unavailable = (thrown: unknown): FilterReply => {
      if (!(thrown instanceof GatewayError) || thrown.code !== 'GW_AUTH_UNAVAILABLE') throw thrown
      return { status: 503, code: 'GW_AUTH_UNAVAILABLE', headers: { 'retry-after': '1' } }
    }
    return {
      prepare: async () => {
        await Promise.all([held.prepare(), untilReady(redis, deps)])
      },
      ownsHeaders: Object.keys(headers),
      inbound: counted(deps, (ctx) => {
        const { isThere, key } = read(ctx)
        if (!isThere) {
          if (allow === undefined) return challenge('GW_AUTH_MISSING', authenticate)
          return leaveChallenge(ctx, authenticate)
        }
        if (key === undefined || !KEY.test(key)) return challenge('GW_AUTH_INVALID', authenticate)
        const digest = keyDigest(key)
        const entry = held.value.get(digest) ?? keyStore?.find(digest)
        if (!(entry instanceof Promise)) return judge(ctx, entry)
        return entry.then((stored) => judge(ctx, stored), unavailable)
      }),
    }
  },
})
