import { expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { startTokenGateway } from '../support/token-gateway.ts'
import { encode, goodClaims } from '../support/tokens.ts'

/** CVE-2015-9235, CVE-2018-1000531, CVE-2020-28042: a token without a signature that says so itself. */

const cleanups = useCleanups()

test('a token that says it needs no signature is refused, however it spells that', async () => {
  const { bearer, good } = await startTokenGateway(cleanups)
  expect((await bearer(good())).status).toBe(200)
  const payload = encode(goodClaims())
  const signature = good().split('.')[2]
  for (const alg of [
    'none',
    'None',
    'NONE',
    'nOnE',
    'none ',
    'none\0',
    '',
    null,
    0,
    [],
    ['none'],
    undefined,
  ]) {
    const head = encode({ alg, kid: 'RS256', typ: 'JWT' })
    for (const token of [`${head}.${payload}.`, `${head}.${payload}`, `${head}.${payload}.${signature}`]) {
      const { status, code, seen } = await bearer(token)
      expect([alg, status, code, seen]).toEqual([alg, 401, 'GW_AUTH_INVALID', ''])
    }
  }
})

test('a good token whose signature was taken off is refused', async () => {
  const { bearer, good } = await startTokenGateway(cleanups)
  const [head, payload] = good().split('.')
  for (const token of [`${head}.${payload}.`, `${head}.${payload}`, `${head}.${payload}..`]) {
    expect((await bearer(token)).status).toBe(401)
  }
})
