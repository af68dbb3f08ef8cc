import { describe, expect, test } from 'vitest'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { freePort } from '../support/ports.ts'
import { rawClient } from '../support/raw.ts'
import { rawServer } from '../support/scripted-server.ts'
import { wireTap } from '../support/wire.ts'

const { opened, proxy } = useCleanups()
const GET = 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n'
/** What would tell a stranger about what stands behind, or of what we are made. */
const LEAKS =
  /127\.0\.0\.1|localhost|ECONN|ETIMED|EPROTO|ENOTFOUND|UND_ERR|HPE_|ERR_|self[- ]signed|\.ts\b|node_modules|fastify|undici|node:|stack|static\/|at [A-Z]\w+\.|x-powered-by|\nserver:/i

async function answersTo(yaml: string, bytes = GET): Promise<string> {
  const gateway = await proxy(yaml)
  const client = rawClient(gateway.port)
  client.send(bytes)
  await client.answers(1)
  client.socket.destroy()
  return client.text()
}

const silent = async (bytes?: string) =>
  (
    await opened(
      rawServer((socket) => {
        if (bytes === undefined) socket.resetAndDestroy()
        else socket.write(bytes)
      }),
    )
  ).port

const FAILURES: [string, () => Promise<string>, number][] = [
  ['refused', async () => oneRoute([await freePort()]), 502],
  ['reset', async () => oneRoute([await silent()]), 502],
  ['no HTTP', async () => oneRoute([await silent('nonsense\r\n\r\n')]), 502],
  [
    'headers too large',
    async () => oneRoute([await silent(`HTTP/1.1 200 OK\r\nX-A: ${'a'.repeat(100_000)}\r\n\r\n`)]),
    502,
  ],
  ['silent', async () => oneRoute([await silent('')], { service: 'timeouts: { headers: 200ms }' }), 504],
  [
    'no TLS',
    async () =>
      oneRoute([await silent('nonsense\r\n\r\n')], {
        scheme: 'https',
        service: 'timeouts: { connect: 300ms }',
      }),
    0,
  ],
  ['no such name', async () => 'routes: [{ name: a, upstreams: ["http://no-such-host.invalid:1"] }]', 502],
  [
    'no such service',
    async () => 'registries: { local: { type: embedded } }\nroutes: [{ name: a, service: hidden-service }]',
    503,
  ],
]

describe('an error answer says what happened, not where', () => {
  test.each(FAILURES)('%s', async (_name, yaml, status) => {
    const text = await answersTo(await yaml())
    if (status !== 0) expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(text).toContain('"code":"GW_')
    expect(text).not.toMatch(LEAKS)
    expect(text).not.toMatch(/no-such-host|hidden-service/)
  })

  test.each([
    ['no route', 'GET /none HTTP/1.1\r\nHost: none.example\r\n\r\n'],
    ['bad target', 'GET /%zz HTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['bad host', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n'],
    ['nonsense', 'nonsense\r\n\r\n'],
    ['a bad chunk', 'POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'],
    ['an expectation', 'GET / HTTP/1.1\r\nHost: a.example\r\nExpect: x\r\n\r\n'],
    ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['too many headers', `GET / HTTP/1.1\r\nHost: a.example\r\n${'X-A: b\r\n'.repeat(200)}\r\n`],
    ['too large headers', `GET / HTTP/1.1\r\nHost: a.example\r\nX-A: ${'a'.repeat(60_000)}\r\n\r\n`],
  ])('a request that is refused: %s', async (_name, bytes) => {
    const tap = await opened(wireTap())
    const text = await answersTo(oneRoute([tap.port]).replace('pathPrefix: /', 'pathPrefix: /x'), bytes)
    expect(text).toMatch(/^HTTP\/1\.1 4\d\d /)
    expect(text).toContain('"code":"GW_')
    expect(text).not.toMatch(LEAKS)
  })

  test('what a stranger sent is not a part of the answer’s markup', async () => {
    const text = await answersTo(
      'routes: [{ name: a, match: { path: /x }, respond: { status: 204 } }]',
      'GET /<script>alert(1)</script> HTTP/1.1\r\nHost: a.example\r\n\r\n',
    )
    expect(text).toMatch(/content-type: application\/problem\+json/i)
    expect(text).not.toMatch(/text\/html/)
  })
})
