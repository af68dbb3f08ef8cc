import { expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { startTokenGateway } from '../support/token-gateway.ts'

/** Two credentials in one request: the gateway checks one, the service believes the other. */

const cleanups = useCleanups()

test('several Authorization fields are refused, in any order and spelling', async () => {
  const { send, good } = await startTokenGateway(cleanups)
  const bearer = `Bearer ${good()}`
  for (const [first, second] of [
    [bearer, bearer],
    [bearer, 'Bearer x'],
    ['Bearer x', bearer],
    [bearer, 'Basic YTpi'],
    ['Basic YTpi', bearer],
    [bearer, ''],
  ]) {
    const { status, code, seen } = await send(`Authorization: ${first}\r\nauthorization: ${second}\r\n`)
    expect([status, code, seen]).toEqual([400, 'GW_AUTH_AMBIGUOUS', ''])
  }
})

test('one field with two tokens is refused', async () => {
  const { send, good } = await startTokenGateway(cleanups)
  const { status } = await send(`Authorization: Bearer ${good()}, Bearer ${good()}\r\n`)
  expect(status).toBe(401)
})

test('a cookie or parameter that stands twice is refused, also with its name escaped', async () => {
  const filter = 'from: [{ cookie: session }, { query: token }]'
  const { send, good } = await startTokenGateway(cleanups, { filter })
  const token = good()
  expect((await send(`Cookie: session=${token}\r\n`)).status).toBe(200)
  expect((await send(`Cookie: session=${token}; session=x\r\n`)).status).toBe(400)
  expect((await send(`Cookie: session=x\r\nCookie: session=${token}\r\n`)).status).toBe(400)
  expect((await send('', `/?token=${token}`)).status).toBe(200)
  expect((await send('', `/?token=${token}&token=x`)).status).toBe(400)
  expect((await send('', `/?token=${token}&%74oken=x`)).status).toBe(400)
})

test('no other scheme and no other header is taken for the token', async () => {
  const { send, good } = await startTokenGateway(cleanups)
  const token = good()
  for (const line of [
    `Authorization: ${token}`,
    `Authorization: Bearers ${token}`,
    `Authorization: Basic ${token}`,
    `Authorization: Bearer: ${token}`,
    `Authorization_: Bearer ${token}`,
    `Proxy-Authorization: Bearer ${token}`,
    `X-Authorization: Bearer ${token}`,
    `Cookie: Authorization=Bearer ${token}`,
  ]) {
    const { status, code, headers } = await send(`${line}\r\n`)
    expect([line.slice(0, 24), status, code]).toEqual([line.slice(0, 24), 401, 'GW_AUTH_MISSING'])
    expect(headers['www-authenticate']).toBe('Bearer realm="api"')
  }
})
