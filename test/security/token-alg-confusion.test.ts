import { expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { problemsOf } from '../support/config.ts'
import { startTokenGateway } from '../support/token-gateway.ts'
import { goodClaims, makeToken, rawToken, secretKey } from '../support/tokens.ts'

/** CVE-2016-5431, CVE-2022-23540, CVE-2024-54150: a public key is used as the secret of an HMAC. */

const cleanups = useCleanups()

test('a token that is signed by HMAC with the public key is refused', async () => {
  const { bearer, key, good } = await startTokenGateway(cleanups)
  expect((await bearer(good())).status).toBe(200)
  const { publicKey, jwk } = key('RS256')
  const secrets = [
    publicKey.export({ format: 'pem', type: 'spki' }),
    String(publicKey.export({ format: 'pem', type: 'spki' })).trim(),
    publicKey.export({ format: 'pem', type: 'pkcs1' }),
    publicKey.export({ format: 'der', type: 'spki' }),
    JSON.stringify(jwk),
    String(jwk['n']),
    Buffer.from(String(jwk['n']), 'base64url'),
  ]
  for (const secret of secrets) {
    for (const alg of ['HS256', 'HS384', 'HS512']) {
      for (const header of [{ alg, kid: 'RS256' }, { alg }]) {
        const token = rawToken(header, goodClaims(), alg, secretKey(secret))
        const { status, seen } = await bearer(token)
        expect([alg, status, seen]).toEqual([alg, 401, ''])
      }
    }
  }
})

test('a key is used for no algorithm but its own', async () => {
  const { bearer, key } = await startTokenGateway(cleanups)
  const [rsa, ec] = [key('RS256'), key('ES256')]
  const claims = goodClaims()
  for (const [alg, from] of [
    ['PS256', rsa],
    ['RS512', rsa],
  ] as const) {
    expect((await bearer(rawToken({ alg, kid: from.kid }, claims, alg, from.privateKey))).status).toBe(401)
  }
  expect((await bearer(makeToken(ec, claims, { kid: rsa.kid }))).status).toBe(401)
  expect((await bearer(makeToken(ec, claims, { alg: 'RS256' }))).status).toBe(401)
  expect((await bearer(makeToken(ec, claims, { alg: 'es256' }))).status).toBe(401)
})

test('algorithms that are not on the list of the provider are refused though its keys would fit', async () => {
  const { bearer, good } = await startTokenGateway(cleanups, { provider: 'algorithms: [ES256]' })
  expect((await bearer(good({}, 'ES256'))).status).toBe(200)
  expect((await bearer(good({}, 'RS256'))).status).toBe(401)
})

test.each([
  ['keys and HMAC', 'jwksFile: a.json, algorithms: [RS256, HS256]', 'need a shared secret'],
  ['a secret and RS256', `secret: ${'x'.repeat(40)}, algorithms: [HS256, RS256]`, 'cannot be checked'],
  ['a secret and keys', `secret: ${'x'.repeat(40)}, jwksFile: a.json`, 'exclude each other'],
  ['a short secret', 'secret: hunter2', 'too short'],
])('a provider with %s is refused as a configuration', async (_, keys, message) => {
  const yaml = `
version: 1
identityProviders:
  login: { type: jwks, issuer: "https://a/", audiences: [], ${keys} }
`
  const problems = await problemsOf({ 'sluice.yaml': yaml })
  expect(problems.map((each) => each.message).join()).toContain(message)
  // The line of the file is shown as the operator wrote it; nothing else repeats the secret.
  expect(problems.map((each) => each.message + each.fix).join()).not.toContain('hunter2')
})
