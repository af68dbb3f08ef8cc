import { z } from 'zod'
import { ASYMMETRIC_ALGORITHMS, HMAC_ALGORITHMS } from '../core/token-algorithms.ts'
import { duration } from './values.ts'

/** Who says whose a token is: the key `identityProviders`. */

/** What is taken when nothing is said: everything asymmetric. */
const DEFAULT_ALGORITHMS = [...ASYMMETRIC_ALGORITHMS]

/** Loopback is as good as TLS. */
function isSafe(url: URL): boolean {
  return (
    url.protocol === 'https:' ||
    url.hostname === 'localhost' ||
    url.hostname === '[::1]' ||
    /^127\./.test(url.hostname)
  )
}

const issuerUrl = () =>
  z.url({ protocol: /^https?$/ }).refine((text) => {
    const url = URL.parse(text)
    return url === null || (url.username === '' && url.password === '' && url.hash === '')
  }, 'an address without user, password and #')

function checkScheme(
  value: { readonly allowHttp: boolean },
  key: string,
  text: string | undefined,
  ctx: z.core.$RefinementCtx,
): void {
  const url = text === undefined ? null : URL.parse(text)
  if (url === null || value.allowHttp || isSafe(url)) return
  ctx.addIssue({
    code: 'custom',
    message: 'over plain http anybody on the way could put in keys or answers of his own',
    path: [key],
    input: text,
    params: { fix: 'use https, or set allowHttp: true if the network between is yours' },
  })
}

const issuer = () =>
  z.string().min(1).describe('The iss that tokens must have, exactly; also the realm of principals.')
const audiences = () =>
  z
    .array(z.string().min(1))
    .describe(
      'One of these must be in aud. An empty list = aud is not looked at: then a token that the issuer made for another service passes here.',
    )
const skew = () =>
  duration().default(60_000).describe('Clocks may differ by so much, for exp, nbf, iat. Default 60s.')
const ca = () =>
  z
    .string()
    .optional()
    .describe('PEM file of a private authority that is trusted, too. Default: only public ones.')
const allowHttp = () =>
  z.boolean().default(false).describe('Plain http beyond loopback is fine. Default false.')
const timeout = (ms: number, text: string) =>
  duration()
    .refine((value) => value > 0, 'it must be more than 0')
    .default(ms)
    .describe(`The whole request to the issuer. Default ${text}.`)

const tokenShape = {
  types: z
    .array(z.string().transform((text) => text.toLowerCase().replace(/^application\//, '')))
    .default(['jwt', 'at+jwt'])
    .describe('Allowed typ of tokens that have one. Default JWT, at+jwt.'),
  skew: skew(),
  maxLifetime: duration()
    .default(0)
    .describe('Refuse tokens that live longer, exp − iat; they must have an iat then. 0 = any. Default 0.'),
  tokenCache: z
    .strictObject({
      entries: z
        .int()
        .min(0)
        .default(10_000)
        .describe('Checked tokens that are remembered, each of 4 KiB at most. 0 = none. Default 10000.'),
      ttl: duration().default(60_000).describe('How long; never beyond exp. Default 60s.'),
    })
    .prefault({})
    .describe('A token that was checked is not checked again for a while.'),
}

const keyCache = {
  keyCache: z
    .strictObject({
      refresh: duration()
        .refine((ms) => ms >= 1000, 'at least 1s')
        .default(600_000)
        .describe('Keys are got again in the background before they are this old. Default 10m.'),
      maxStale: duration()
        .default(86_400_000)
        .describe('How long the last keys serve while the issuer is away. Default 24h.'),
      file: z
        .string()
        .optional()
        .describe('File that keeps the last keys, for a start while the issuer is away. Default: none.'),
    })
    .prefault({})
    .describe('The keys of the issuer.'),
  timeout: timeout(5000, '5s'),
  ca: ca(),
  allowHttp: allowHttp(),
}

const jwks = z
  .strictObject({
    type: z.literal('jwks'),
    issuer: issuer(),
    audiences: audiences(),
    jwksUrl: issuerUrl().optional().describe('Where the issuer has its keys (JWK set).'),
    jwksFile: z
      .string()
      .optional()
      .describe('The keys in a local file (JWK set); read again when it changes.'),
    secret: z
      .string()
      .optional()
      .describe(
        'A shared secret instead of keys, for HS256 … only; 32 characters at least. From ${ENV:…} or ${FILE:…}.',
      ),
    algorithms: z
      .array(z.enum([...ASYMMETRIC_ALGORITHMS, ...HMAC_ALGORITHMS]))
      .min(1)
      .optional()
      .describe('What tokens may be signed with. Default: all asymmetric ones; with secret: HS256.'),
    ...tokenShape,
    ...keyCache,
  })
  .superRefine((value, ctx) => {
    const given = (['jwksUrl', 'jwksFile', 'secret'] as const).filter((key) => value[key] !== undefined)
    if (given.length !== 1) {
      const message = given.length === 0 ? 'there are no keys' : `${given.join(' and ')} exclude each other`
      const params = { fix: 'write one of jwksUrl, jwksFile, secret' }
      ctx.addIssue({ code: 'custom', message, path: [], params, input: value })
    }
    checkScheme(value, 'jwksUrl', value.jwksUrl, ctx)
    checkAlgorithms(value, ctx)
  })
  .transform((value) => {
    const usual = value.secret === undefined ? DEFAULT_ALGORITHMS : ['HS256' as const]
    return { ...value, algorithms: value.algorithms ?? usual }
  })

/** A public key that is taken for a secret is the oldest trick with tokens: the two kinds never meet. */
function checkAlgorithms(
  value: { readonly secret?: string | undefined; readonly algorithms?: readonly string[] | undefined },
  ctx: z.core.$RefinementCtx,
): void {
  const isHmac = (each: string) => each.startsWith('HS')
  const { secret, algorithms = secret === undefined ? [] : ['HS256'] } = value
  const wrong = algorithms.filter((each) => isHmac(each) !== (secret !== undefined))
  if (wrong.length > 0) {
    const message =
      secret === undefined
        ? `${wrong.join(', ')} need a shared secret, never public keys`
        : `${wrong.join(', ')} cannot be checked with a secret`
    const params = { fix: 'use one provider for the secret and one for the keys' }
    ctx.addIssue({ code: 'custom', message, path: ['algorithms'], params, input: algorithms })
  }
  if (secret === undefined) return
  const needed = Math.max(32, ...algorithms.filter(isHmac).map((each) => Number(each.slice(2)) / 8))
  if (Buffer.byteLength(secret) >= needed) return
  const message = `the secret is too short to be one: ${needed} bytes at least (RFC 7518 §3.2)`
  const params = { fix: `make one: openssl rand -base64 ${needed}` }
  // Not the text itself: it would stand in the report.
  ctx.addIssue({ code: 'custom', message, path: ['secret'], params })
}

const oidc = z
  .strictObject({
    type: z.literal('oidc'),
    issuer: issuerUrl().describe(
      'OpenID Connect issuer: its keys are found by /.well-known/openid-configuration. Also the iss of tokens, exactly.',
    ),
    audiences: audiences(),
    algorithms: z
      .array(z.enum(ASYMMETRIC_ALGORITHMS))
      .min(1)
      .default(DEFAULT_ALGORITHMS)
      .describe('What tokens may be signed with. Default: all asymmetric ones.'),
    ...tokenShape,
    ...keyCache,
  })
  .superRefine((value, ctx) => checkScheme(value, 'issuer', value.issuer, ctx))

const introspection = z
  .strictObject({
    type: z.literal('introspection'),
    url: issuerUrl().describe('Introspection endpoint of the issuer (RFC 7662).'),
    issuer: z
      .string()
      .min(1)
      .describe('The iss that answers must have if they have one; also the realm of principals.'),
    audiences: audiences(),
    clientId: z.string().min(1).describe('Who we are for the issuer.'),
    clientSecret: z.string().min(1).describe('Take it from ${ENV:…} or ${FILE:…}.'),
    clientAuth: z
      .enum(['basic', 'post'])
      .default('basic')
      .describe('How we prove it: client_secret_basic or client_secret_post. Default basic.'),
    skew: skew(),
    cache: z
      .strictObject({
        entries: z.int().min(1).default(10_000).describe('Answers that are remembered. Default 10000.'),
        active: duration()
          .default(30_000)
          .describe(
            'How long "active" is believed, so how late a revoked token is noticed; never beyond exp. 0 = ask each time. Default 30s.',
          ),
        inactive: duration()
          .default(5000)
          .describe('How long "not active" is believed. 0 = ask each time. Default 5s.'),
      })
      .prefault({})
      .describe('Answers of the issuer.'),
    maxInFlight: z
      .int()
      .min(1)
      .default(256)
      .describe('Questions under way at once; beyond that 503. Default 256.'),
    timeout: timeout(3000, '3s'),
    ca: ca(),
    allowHttp: allowHttp(),
  })
  .superRefine((value, ctx) => checkScheme(value, 'url', value.url, ctx))

/** One entry of `identityProviders`. */
export const identityProvider = z.discriminatedUnion('type', [jwks, oidc, introspection])

export type IdentityProviderConfig = z.output<typeof identityProvider>

/** Its files, relative to the main file. */
export function absoluteIdentity(
  config: IdentityProviderConfig,
  base: (path: string) => string,
): IdentityProviderConfig {
  const ca = config.ca === undefined ? {} : { ca: base(config.ca) }
  if (config.type === 'introspection') return { ...config, ...ca }
  const { file } = config.keyCache
  const keyCache = file === undefined ? config.keyCache : { ...config.keyCache, file: base(file) }
  if (config.type === 'oidc') return { ...config, ...ca, keyCache }
  const { jwksFile } = config
  return { ...config, ...ca, keyCache, ...(jwksFile === undefined ? {} : { jwksFile: base(jwksFile) }) }
}
