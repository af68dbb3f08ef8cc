import { readFileSync } from 'node:fs'
import type { IdentityProviderConfig } from './config/identity.ts'
import { errorText, GatewayError } from './core/errors.ts'
import { discoverJwksUrl } from './identity/discovery.ts'
import { FileKeys } from './identity/file-keys.ts'
import { createHttpClient, type HttpClient } from './identity/http.ts'
import { IntrospectionProvider } from './identity/introspection.ts'
import { JwtProvider } from './identity/jwt-provider.ts'
import { createKeyCacheFile } from './identity/key-cache-file.ts'
import { secretKeySet } from './identity/key-set.ts'
import { fixedKeys, type KeySource } from './identity/key-source.ts'
import type { IdentityProvider, ProviderDeps } from './identity/provider.ts'
import { RemoteKeys } from './identity/remote-keys.ts'

/** Of a JWK set. Bytes. */
const MAX_JWKS_BYTES = 262_144

type Config<Type> = Extract<IdentityProviderConfig, { type: Type }>

/**
 * The configured `identityProviders` by name. Nothing is contacted before `start`. Throws GW_CONFIG_INVALID when the
 * file of a private authority cannot be read.
 */
export function createIdentityProviders(
  configs: Readonly<Record<string, IdentityProviderConfig>>,
  deps: ProviderDeps,
): ReadonlyMap<string, IdentityProvider> {
  return new Map(Object.entries(configs).map(([name, config]) => [name, createProvider(name, config, deps)]))
}

function createProvider(name: string, config: IdentityProviderConfig, deps: ProviderDeps): IdentityProvider {
  if (config.type === 'introspection') return createIntrospection(name, config, deps)
  const { issuer, audiences, algorithms, types, skew, maxLifetime, tokenCache } = config
  const rules = {
    ...{ issuer, audiences, algorithms, types },
    skewSeconds: skew / 1000,
    maxLifetimeSeconds: maxLifetime / 1000,
  }
  const options = { name, rules, cacheEntries: tokenCache.entries, cacheMs: tokenCache.ttl }
  return new JwtProvider(options, keySource(name, config, deps), deps)
}

function keySource(name: string, config: Config<'jwks' | 'oidc'>, deps: ProviderDeps): KeySource {
  if (config.type === 'jwks') {
    if (config.secret !== undefined) return fixedKeys(secretKeySet(config.secret))
    if (config.jwksFile !== undefined) return new FileKeys(name, config.jwksFile, deps)
  }
  const { keyCache, timeout: timeoutMs } = config
  const http = clientFor(name, config.ca)
  const locate =
    config.type === 'oidc'
      ? () => discoverJwksUrl(http, config.issuer, timeoutMs)
      : async () => new URL(config.jwksUrl as string)
  const source = config.type === 'oidc' ? config.issuer : (config.jwksUrl as string)
  const fetch = async () => http.ask({ url: await locate(), timeoutMs, maxBytes: MAX_JWKS_BYTES })
  const warn = (fields: object, text: string) => deps.log.warn({ provider: name, ...fields }, text)
  const cacheFile = keyCache.file === undefined ? undefined : createKeyCacheFile(keyCache.file, source, warn)
  const { refresh: cacheMs, maxStale: maxStaleMs } = keyCache
  return new RemoteKeys({ name, fetch, close: () => http.close(), cacheMs, maxStaleMs, cacheFile }, deps)
}

function createIntrospection(
  name: string,
  config: Config<'introspection'>,
  deps: ProviderDeps,
): IdentityProvider {
  const { issuer, audiences, clientId, clientSecret, clientAuth, cache, maxInFlight } = config
  return new IntrospectionProvider(
    {
      ...{ name, issuer, audiences, clientId, clientSecret, clientAuth, maxInFlight },
      url: new URL(config.url),
      timeoutMs: config.timeout,
      cacheEntries: cache.entries,
      activeMs: cache.active,
      inactiveMs: cache.inactive,
      skewSeconds: config.skew / 1000,
    },
    clientFor(name, config.ca),
    deps,
  )
}

function clientFor(name: string, ca: string | undefined): HttpClient {
  if (ca === undefined) return createHttpClient()
  try {
    return createHttpClient(readFileSync(ca, 'utf8'))
  } catch (thrown) {
    const text = `identityProviders.${name}.ca: ${ca} cannot be read: ${errorText(thrown)}`
    throw new GatewayError('GW_CONFIG_INVALID', text)
  }
}
