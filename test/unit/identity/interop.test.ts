import { KeyObject, type webcrypto } from 'node:crypto'
import { exportJWK, generateKeyPair, generateSecret, SignJWT } from 'jose'
import { expect, test } from 'vitest'
import { ASYMMETRIC_ALGORITHMS } from '../../../src/core/token-algorithms.ts'
import { isSigned, parseJwt } from '../../../src/identity/jwt.ts'
import { parseJwks } from '../../../src/identity/key-set.ts'

/** Tokens and keys that we did not make. */
test.each(ASYMMETRIC_ALGORITHMS)('a token that jose signed with %s is good', async (alg) => {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  const token = await new SignJWT({ sub: 'alice' }).setProtectedHeader({ alg, kid: 'k' }).sign(privateKey)
  const jwk = { ...(await exportJWK(publicKey)), kid: 'k', alg, use: 'sig' }
  const { set } = await parseJwks(Buffer.from(JSON.stringify({ keys: [jwk] })))
  const jwt = parseJwt(token)
  const [key] = set.candidates(alg, jwt?.kid)
  if (jwt === undefined || key === undefined) expect.unreachable()
  expect(jwt.claims).toEqual({ sub: 'alice' })
  expect(await isSigned(jwt, alg, key.key)).toBe(true)
})

test('so is one that it signed with HS256', async () => {
  const secret = (await generateSecret('HS256', { extractable: true })) as webcrypto.CryptoKey
  const jwt = parseJwt(await new SignJWT({}).setProtectedHeader({ alg: 'HS256' }).sign(secret))
  if (jwt === undefined) expect.unreachable()
  expect(await isSigned(jwt, 'HS256', KeyObject.from(secret))).toBe(true)
})
