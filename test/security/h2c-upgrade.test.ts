import { expect, test } from 'vitest'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { rawClient, rawExchange } from '../support/raw.ts'
import { rawServer } from '../support/scripted-server.ts'

const { opened, proxy } = useCleanups()

/** A service that would take any offer of another protocol up. */
async function eager() {
  const seen: string[] = []
  const server = await opened(
    rawServer((socket, request) => {
      seen.push(request)
      const upgrade = /^upgrade: *(.*)$/im.exec(request)?.[1]
      if (upgrade === undefined) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain')
      else
        socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${upgrade}\r\n\r\n`)
    }),
  )
  return { seen, gateway: await proxy(oneRoute([server.port])) }
}

test.each(['h2c', 'H2C', ' h2c ', 'h2', 'h2c, websocket', 'websocket, h2c', 'foo,h2c,bar', 'h2c/1'])(
  'Upgrade: %s is not passed on: the request goes its way in HTTP/1.1, through all filters',
  async (offer) => {
    const { seen, gateway } = await eager()
    const answer = await rawExchange(
      gateway.port,
      `GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: ${offer}\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n`,
    )
    expect(answer).toMatchObject({ status: 200, body: 'plain' })
    expect(seen.join()).not.toMatch(/h2c|http2-settings|^upgrade:/im)
  },
)

test('several Upgrade fields with h2c among them', async () => {
  const { seen, gateway } = await eager()
  const answer = await rawExchange(
    gateway.port,
    'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n',
  )
  expect(answer.status).toBe(200)
  expect(seen.join()).not.toMatch(/h2c/i)
})

test('HTTP/2 with prior knowledge in clear is refused', async () => {
  const { seen, gateway } = await eager()
  const client = rawClient(gateway.port)
  client.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
  expect(await client.closed()).toMatch(/^HTTP\/1\.1 400 /)
  expect(seen).toEqual([])
  client.socket.destroy()
})
