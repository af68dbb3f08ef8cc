import { expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { startTokenGateway } from '../support/token-gateway.ts'

/** Tokens in addresses end in logs, histories and Referer fields: not taken unless asked for, and never passed on. */

const cleanups = useCleanups()

test('a token in the query or a cookie counts for nothing by default', async () => {
  const { send, good } = await startTokenGateway(cleanups)
  const token = good()
  for (const name of ['access_token', 'token', 'jwt', 'id_token', 'authorization']) {
    expect((await send('', `/?${name}=${token}`)).code).toBe('GW_AUTH_MISSING')
    expect((await send(`Cookie: ${name}=${token}\r\n`)).code).toBe('GW_AUTH_MISSING')
  }
})

test('where it is asked for it goes no further: not to the service, not into the record', async () => {
  const { send, good, gateway } = await startTokenGateway(cleanups, {
    filter: 'from: [{ query: access_token }]',
  })
  const token = good()
  const { status, seen } = await send('', `/a?x=%41&access_token=${token}&y=1+2`)
  expect(status).toBe(200)
  expect(seen.split('\r\n')[0]).toBe('GET /a?x=%41&y=1+2 HTTP/1.1')
  expect(seen).not.toContain(token)
  expect((await gateway.record()).query).toBe('?x=%41&y=1+2')
  const alone = await send('', `/a?access%5Ftoken=${token}`)
  expect(alone.seen.split('\r\n')[0]).toBe('GET /a HTTP/1.1')
})

test('a bad one is not recorded either', async () => {
  const { send, gateway } = await startTokenGateway(cleanups, { filter: 'from: [{ query: access_token }]' })
  expect((await send('', '/a?access_token=stolen&x=1')).status).toBe(401)
  expect((await gateway.record()).query).toBe('?x=1')
})
