import { describe, expect, test } from 'vitest'
import { absoluteIdentity, identityProvider } from '../../../src/config/identity.ts'
import { problemsOf } from '../../support/config.ts'

const JWKS = { type: 'jwks', issuer: 'https://id.example.com/', audiences: ['shop'] }

async function problems(flow: string) {
  const found = await problemsOf({ 'sluice.yaml': `version: 1\nidentityProviders:\n  login: ${flow}\n` })
  return found.map(({ path, message, fix }) => `${path}: ${message}; ${fix}`).join('\n')
}

test('defaults are those of the documentation', () => {
  const config = identityProvider.parse({ ...JWKS, jwksUrl: 'https://id.example.com/jwks' })
  expect(config).toMatchObject({
    types: ['jwt', 'at+jwt'],
    skew: 60_000,
    maxLifetime: 0,
    tokenCache: { entries: 10_000, ttl: 60_000 },
    keyCache: { refresh: 600_000, maxStale: 86_400_000 },
    timeout: 5000,
    allowHttp: false,
  })
  const algorithms = config.type === 'jwks' ? config.algorithms : []
  expect(algorithms).toContain('RS256')
  expect(algorithms.filter((each) => each.startsWith('HS'))).toEqual([])
})

test('with a secret only HS256 is allowed by default', () => {
  const config = identityProvider.parse({ ...JWKS, secret: 'x'.repeat(32) })
  expect(config.type === 'jwks' && config.algorithms).toEqual(['HS256'])
})

describe('refused, with the fix', () => {
  test.each([
    ['{ type: jwks, issuer: x, audiences: [] }', 'write one of jwksUrl, jwksFile, secret'],
    ['{ type: jwks, issuer: x, jwksFile: a }', 'key "audiences" is missing'],
    ['{ type: jwks, audiences: [], jwksFile: a }', 'key "issuer" is missing'],
    ['{ type: jwks, issuer: x, audiences: [], jwksUrl: "http://id.example.com/" }', 'allowHttp: true'],
    ['{ type: jwks, issuer: x, audiences: [], jwksUrl: "ftp://id.example.com/" }', 'jwksUrl'],
    ['{ type: jwks, issuer: x, audiences: [], jwksUrl: "https://a:b@id.example.com/" }', 'jwksUrl'],
    ['{ type: jwks, issuer: x, audiences: [], jwksFile: a, algorithms: [none] }', 'algorithms'],
    ['{ type: jwks, issuer: x, audiences: [], jwksFile: a, timeout: 0 }', 'more than 0'],
    ['{ type: oidc, issuer: "http://id.example.com", audiences: [] }', 'allowHttp: true'],
    ['{ type: oidc, issuer: "https://id", audiences: [], algorithms: [HS256] }', 'algorithms'],
    [
      '{ type: introspection, url: "http://id/", issuer: x, audiences: [], clientId: a, clientSecret: b }',
      'allowHttp',
    ],
    ['{ type: jwkz }', 'did you mean "jwks"?'],
  ])('%s', async (flow, text) => expect(await problems(flow)).toContain(text))
})

test.each([
  '{ type: jwks, issuer: x, audiences: [], jwksUrl: "http://127.0.0.1:1/" }',
  '{ type: jwks, issuer: x, audiences: [], jwksUrl: "http://[::1]/" }',
  '{ type: jwks, issuer: x, audiences: [], jwksUrl: "http://id.internal/", allowHttp: true }',
  '{ type: oidc, issuer: "https://id.example.com/realms/a", audiences: [shop] }',
])('good: %s', async (flow) => expect(await problems(flow)).toBe(''))

test('files are relative to the main file', () => {
  const base = (path: string) => `/etc/sluice/${path}`
  const jwks = identityProvider.parse({ ...JWKS, jwksFile: 'k.json', ca: 'ca.pem', keyCache: { file: 'c' } })
  expect(absoluteIdentity(jwks, base)).toMatchObject({
    jwksFile: '/etc/sluice/k.json',
    ca: '/etc/sluice/ca.pem',
    keyCache: { file: '/etc/sluice/c', refresh: 600_000 },
  })
})
