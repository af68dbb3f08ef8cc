import { expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { startTokenGateway } from '../support/token-gateway.ts'
import { goodClaims, makeKey, makeToken, rawToken, secretKey } from '../support/tokens.ts'

/** CVE-2018-0114 and many write-ups: `kid` as a path, a query, a command, a key of an object. */

const cleanups = useCleanups()

const KIDS = [
  '/dev/null',
  '../../../../../../dev/null',
  '/etc/passwd',
  'file:///dev/null',
  'http://127.0.0.1:1/key',
  "' OR '1'='1",
  "x' UNION SELECT 'secret",
  '| id',
  '$(id)',
  '__proto__',
  'constructor',
  'hasOwnProperty',
  '0',
  '',
  'RS256\0',
  'rs256',
  ' RS256',
  'x'.repeat(10_000),
]

test('a kid is a name to look up and nothing else', async () => {
  const { bearer, good } = await startTokenGateway(cleanups)
  expect((await bearer(good())).status).toBe(200)
  const own = makeKey('ES256', 'x')
  for (const kid of KIDS) {
    const empty = rawToken({ alg: 'HS256', kid }, goodClaims(), 'HS256', secretKey(''))
    const zero = rawToken({ alg: 'HS256', kid }, goodClaims(), 'HS256', secretKey(Buffer.alloc(32)))
    for (const token of [makeToken(own, goodClaims(), { kid }), empty, zero]) {
      expect([kid.slice(0, 30), (await bearer(token)).status]).toEqual([kid.slice(0, 30), 401])
    }
  }
})

test('a kid that is no text is refused though the signature is good', async () => {
  const { bearer, key } = await startTokenGateway(cleanups)
  for (const kid of [1, null, ['RS256'], { toString: 'RS256' }, true]) {
    expect((await bearer(makeToken(key('RS256'), goodClaims(), { kid }))).status).toBe(401)
  }
})
