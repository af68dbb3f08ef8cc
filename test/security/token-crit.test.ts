import { expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { startTokenGateway } from '../support/token-gateway.ts'
import { encode, goodClaims, makeToken, signatureOf } from '../support/tokens.ts'

/** RFC 7515 §4.1.11, CVE-2025-59420: who does not know a critical header must refuse the token. */

const cleanups = useCleanups()

test('a token with critical headers is refused though its signature is good', async () => {
  const { bearer, key, good } = await startTokenGateway(cleanups)
  expect((await bearer(good())).status).toBe(200)
  for (const header of [
    { crit: ['exp'] },
    { crit: ['bork'], bork: true },
    { crit: [] },
    { crit: null },
    { crit: 'exp' },
    { crit: ['b64'], b64: true },
    { b64: true },
    { b64: false },
    { zip: 'DEF' },
    { enc: 'A256GCM' },
  ]) {
    expect([header, (await bearer(makeToken(key('ES256'), goodClaims(), header))).status]).toEqual([
      header,
      401,
    ])
  }
})

test('an unencoded payload (RFC 7797) is refused', async () => {
  const { bearer, key } = await startTokenGateway(cleanups)
  const { privateKey } = key('ES256')
  const head = encode({ alg: 'ES256', kid: 'ES256', b64: false, crit: ['b64'] })
  const data = `${head}.${JSON.stringify(goodClaims())}`
  const signature = signatureOf('ES256', privateKey, data).toString('base64url')
  expect((await bearer(`${data}.${signature}`)).status).toBe(401)
})
