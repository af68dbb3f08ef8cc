import { expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { startTokenGateway } from '../support/token-gateway.ts'
import { rawToken } from '../support/tokens.ts'

/** CVE-2024-28180, CVE-2025-30204: tokens made to cost more than they say. */

const cleanups = useCleanups()

test('tokens beyond 16 KiB are refused at once; those below are checked', async () => {
  const { gateway, good, bearer } = await startTokenGateway(cleanups)
  expect((await bearer(good({ filler: 'x'.repeat(9000) }))).status).toBe(200)
  const { bearer: ask, good: make } = await startTokenGateway(cleanups, {
    filter: 'from: [{ query: t }]',
    routes: '\nlimits: { urlBytes: 60KiB, headerBytes: 64KiB }',
  })
  const token = make({ filler: 'x'.repeat(13_000) })
  expect(token.length).toBeGreaterThan(16_384)
  expect((await ask('', `/?t=${token}`)).code).toBe('GW_AUTH_INVALID')
  const shorter = make({ filler: 'x'.repeat(11_000) })
  expect((await ask('', `/?t=${shorter}`)).status).toBe(200)
  expect(gateway.warnings).toEqual([])
})

test('a million dots, a deep nest and an endless number cost nothing worth telling', async () => {
  const { bearer, key } = await startTokenGateway(cleanups)
  const { privateKey } = key('ES256')
  const header = { alg: 'ES256', kid: 'ES256' }
  const dots = '.'.repeat(15_000)
  const nest = `{"a":${'['.repeat(3000)}${']'.repeat(3000)}}`
  const number = `{"exp":${'9'.repeat(4000)}}`
  const before = performance.now()
  for (const token of [
    dots,
    rawToken(header, nest, 'ES256', privateKey),
    rawToken(header, number, 'ES256', privateKey),
  ]) {
    expect((await bearer(token)).status).toBe(401)
  }
  expect(performance.now() - before).toBeLessThan(20_000)
})
