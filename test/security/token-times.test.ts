import { expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { startTokenGateway } from '../support/token-gateway.ts'
import { encode, goodClaims, rawToken } from '../support/tokens.ts'

/** Tokens that live for ever: without exp, with one that is no number, expired, not yet good. */

const cleanups = useCleanups()
const NOW = Math.floor(Date.now() / 1000)

test('exp must be there and be a time to come; nbf and iat must be past', async () => {
  const { bearer, key } = await startTokenGateway(cleanups)
  const { privateKey } = key('ES256')
  const send = (claims: unknown) =>
    bearer(rawToken({ alg: 'ES256', kid: 'ES256' }, claims, 'ES256', privateKey))
  const text = JSON.stringify(goodClaims())
  const withExp = (exp: string) => text.replace(/"exp":\d+/, `"exp":${exp}`)
  expect((await send(withExp(`${NOW + 5}.5`))).status).toBe(200)
  expect((await send(withExp('9007199254740991'))).status).toBe(200)
  for (const exp of [
    `"${NOW + 600}"`,
    `"${NOW + 600}abc"`,
    'null',
    'true',
    '[9999999999]',
    '{}',
    '""',
    '1e999',
    '-1',
    '9007199254740993',
    '99999999999999999999999',
    `${NOW - 61}`,
    '0',
  ]) {
    expect([exp, (await send(withExp(exp))).status]).toEqual([exp, 401])
  }
  expect((await send(goodClaims({ exp: undefined }))).status).toBe(401)
  expect((await send(goodClaims({ nbf: NOW + 120 }))).status).toBe(401)
  expect((await send(goodClaims({ nbf: `${NOW}` }))).status).toBe(401)
  expect((await send(goodClaims({ iat: NOW + 120 }))).status).toBe(401)
})

test('an expired token says so, and what is in it is not told to anybody', async () => {
  const { bearer, good } = await startTokenGateway(cleanups)
  const { status, code, headers, body } = await bearer(good({ exp: NOW - 3600 }))
  expect([status, code]).toEqual([401, 'GW_AUTH_EXPIRED'])
  expect(headers['www-authenticate']).toBe(
    'Bearer realm="api", error="invalid_token", error_description="the token has expired"',
  )
  expect(body).not.toContain('alice')
})

test('claims that were changed after signing are refused, also when the token was good before', async () => {
  const { bearer, good } = await startTokenGateway(cleanups)
  const token = good()
  expect((await bearer(token)).status).toBe(200)
  const [head, , signature] = token.split('.')
  const payload = encode(goodClaims({ sub: 'root' }))
  expect((await bearer(`${head}.${payload}.${signature}`)).status).toBe(401)
})
