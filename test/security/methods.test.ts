import { describe, expect, test } from 'vitest'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { rawClient, rawExchange } from '../support/raw.ts'
import { wireTap } from '../support/wire.ts'

const { opened, proxy } = useCleanups()

async function setUp() {
  const tap = await opened(wireTap())
  return { tap, gateway: await proxy(oneRoute([tap.port])) }
}

describe('methods that would make the gateway a tunnel or a mirror', () => {
  test.each(['127.0.0.1:22', 'a.example:443', '/', 'http://a.example/'])(
    'CONNECT %s: 405',
    async (target) => {
      const { tap, gateway } = await setUp()
      const client = rawClient(gateway.port)
      client.send(
        `CONNECT ${target} HTTP/1.1\r\nHost: a.example\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n`,
      )
      const text = await client.closed()
      expect(text).toMatch(/^HTTP\/1\.1 (405|400) /)
      expect(text.match(/HTTP\/1\.1 \d/g)).toHaveLength(1)
      expect(tap.seen()).toBe('')
      client.socket.destroy()
    },
  )

  test('CONNECT with a body', async () => {
    const { tap, gateway } = await setUp()
    const answer = await rawExchange(
      gateway.port,
      'CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 30\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n',
    )
    expect([answer.status, JSON.parse(answer.body).code]).toEqual([405, 'GW_ROUTE_METHOD_REFUSED'])
    expect(tap.seen()).toBe('')
  })

  test('TRACE does not show a client’s headers', async () => {
    const { tap, gateway } = await setUp()
    const answer = await rawExchange(
      gateway.port,
      'TRACE / HTTP/1.1\r\nHost: a.example\r\nCookie: secret\r\n\r\n',
    )
    expect([answer.status, answer.headers['allow']]).toEqual([405, ''])
    expect(answer.body).not.toContain('secret')
    expect(tap.seen()).toBe('')
  })

  test.each(['get', 'GeT', 'FOO', 'GET/', 'G(T'])('%s is no method', async (method) => {
    const { tap, gateway } = await setUp()
    expect((await rawExchange(gateway.port, `${method} / HTTP/1.1\r\nHost: a.example\r\n\r\n`)).status).toBe(
      400,
    )
    expect(tap.seen()).toBe('')
  })

  test.each(['PROPFIND', 'PURGE', 'QUERY'])('%s passes as it is', async (method) => {
    const { tap, gateway } = await setUp()
    const answer = await rawExchange(
      gateway.port,
      `${method} /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n`,
    )
    expect(answer.status).toBe(200)
    expect(tap.requestLines()).toEqual([`${method} /x HTTP/1.1`])
  })

  test('a field that names another method changes nothing', async () => {
    const { tap, gateway } = await setUp()
    await gateway.swap(oneRoute([tap.port]).replace('pathPrefix: /', 'pathPrefix: /, methods: [GET]'))
    for (const name of ['X-HTTP-Method-Override', 'X-Method-Override', 'X-HTTP-Method']) {
      const answer = await rawExchange(
        gateway.port,
        `POST / HTTP/1.1\r\nHost: a.example\r\n${name}: GET\r\nContent-Length: 0\r\n\r\n`,
      )
      expect(answer.status).toBe(405)
    }
    expect(tap.seen()).toBe('')
  })
})
