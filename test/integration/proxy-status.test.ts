import { describe, expect, test } from 'vitest'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { freePort } from '../support/ports.ts'
import { rawClient, rawExchange } from '../support/raw.ts'
import { httpServer, rawServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const { opened, proxy } = useCleanups()
const HEAD = 'Host: a.example\r\n'
const NO_RETRY = 'retries: { attempts: 0 }'

/** What a client reads of a problem document. */
async function problem(response: Response) {
  const { code, status, requestId, ...rest } = (await response.json()) as Record<string, unknown>
  expect(response.headers.get('content-type')).toBe('application/problem+json')
  expect(status).toBe(response.status)
  expect(requestId).toMatch(/^[0-9a-f]{32}$/)
  return { status, code, rest: JSON.stringify(rest) }
}

describe('refused before any instance', () => {
  test('no route: 404', async () => {
    const gateway = await proxy('routes: [{ name: a, match: { pathPrefix: /a }, respond: { status: 204 } }]')
    expect(await problem(await fetch(`${gateway.url}/b`))).toMatchObject({
      status: 404,
      code: 'GW_ROUTE_NOT_FOUND',
    })
    expect(await gateway.record()).toMatchObject({ status: 404, outcome: 'no_route', path: '/b' })
  })

  test('another method: 405 with Allow', async () => {
    const gateway = await proxy(
      'routes: [{ name: a, match: { pathPrefix: /a, methods: [GET, PUT] }, respond: { status: 204 } }]',
    )
    const response = await fetch(`${gateway.url}/a`, { method: 'POST', body: 'x' })
    expect(response.headers.get('allow')).toBe('GET, HEAD, PUT')
    expect(await problem(response)).toMatchObject({ status: 405, code: 'GW_ROUTE_METHOD' })
  })

  test('a service without instances: 503 with Retry-After', async () => {
    const gateway = await proxy(
      'registries: { local: { type: embedded } }\nroutes: [{ name: a, service: nobody }]',
    )
    const response = await fetch(gateway.url)
    expect(response.headers.get('retry-after')).toBe('2')
    expect(await problem(response)).toMatchObject({ status: 503 })
  })

  test('a redirect and a fixed answer', async () => {
    const gateway = await proxy(`routes:
  - { name: old, match: { path: /old }, redirect: { status: 301, path: /new } }
  - { name: hi, match: { path: /hi }, respond: { status: 418, headers: { x-a: b }, body: tea } }`)
    const moved = await fetch(`${gateway.url}/old?q=1`, { redirect: 'manual' })
    expect([moved.status, moved.headers.get('location')]).toEqual([301, `${gateway.url}/new?q=1`])
    const fixed = await fetch(`${gateway.url}/hi`)
    expect([fixed.status, fixed.headers.get('x-a'), await fixed.text()]).toEqual([418, 'b', 'tea'])
    expect(gateway.records.map(({ outcome }) => outcome)).toEqual(['redirect', 'fixed_response'])
  })

  test('a HEAD is refused without a body', async () => {
    const gateway = await proxy('routes: [{ name: a, match: { path: /a }, respond: { status: 200 } }]')
    const client = rawClient(gateway.port)
    client.send(`HEAD /none HTTP/1.1\r\n${HEAD}\r\nHEAD /none HTTP/1.1\r\n${HEAD}\r\n`)
    await waitFor(() => client.text().split('HTTP/1.1 404').length === 3)
    expect(client.text()).not.toContain('GW_')
    client.socket.destroy()
  })
})

describe('an instance fails', () => {
  test('refused: 502, and the address stays with us', async () => {
    const port = await freePort()
    const gateway = await proxy(oneRoute([port], { service: NO_RETRY }))
    const answer = await problem(await fetch(gateway.url))
    expect(answer).toMatchObject({ status: 502, code: 'GW_UPSTREAM_CONNECT' })
    expect(answer.rest).not.toMatch(/127\.0\.0\.1|ECONN/)
    expect(await gateway.record()).toMatchObject({
      outcome: 'connect_failed',
      instanceAddress: `127.0.0.1:${port}`,
    })
  })

  test('reset: 502', async () => {
    const server = await opened(rawServer((socket) => socket.resetAndDestroy()))
    const gateway = await proxy(oneRoute([server.port], { service: NO_RETRY }))
    expect(await problem(await fetch(gateway.url))).toMatchObject({ status: 502, code: 'GW_UPSTREAM_RESET' })
  })

  test('an answer that is no HTTP: 502', async () => {
    const server = await opened(rawServer((socket) => void socket.write('SSH-2.0-nonsense\r\n\r\n')))
    const gateway = await proxy(oneRoute([server.port], { service: NO_RETRY }))
    expect(await problem(await fetch(gateway.url))).toMatchObject({
      status: 502,
      code: 'GW_UPSTREAM_PROTOCOL',
    })
  })

  test('no answer in time: 504', async () => {
    const server = await opened(rawServer(() => {}))
    const gateway = await proxy(
      oneRoute([server.port], { service: 'timeouts: { headers: 200ms }\nretries: { attempts: 0 }' }),
    )
    expect(await problem(await fetch(gateway.url))).toMatchObject({
      status: 504,
      code: 'GW_UPSTREAM_TIMEOUT',
    })
    await waitFor(() => server.sockets.size === 0)
  })

  test('the whole time is up: 504', async () => {
    const server = await opened(rawServer(() => {}))
    const gateway = await proxy(oneRoute([server.port], { service: 'timeouts: { total: 150ms }' }))
    expect(await problem(await fetch(gateway.url))).toMatchObject({
      status: 504,
      code: 'GW_UPSTREAM_DEADLINE',
    })
    await waitFor(() => server.sockets.size === 0)
  })

  test('an answer of the service itself is passed on as it is, whatever its status', async () => {
    const server = await opened(
      httpServer((_request, response) => response.writeHead(503, { 'retry-after': '7' }).end('mine')),
    )
    const gateway = await proxy(oneRoute([server.port]))
    const response = await fetch(gateway.url)
    expect([response.status, response.headers.get('retry-after'), await response.text()]).toEqual([
      503,
      '7',
      'mine',
    ])
    expect((await gateway.record()).outcome).toBe('ok')
  })
})

describe('limits', () => {
  const echo = () => opened(httpServer((request, response) => request.pipe(response)))

  test('a body declared too long: 413, the service is not asked', async () => {
    const server = await echo()
    const gateway = await proxy(oneRoute([server.port], { route: 'maxBody: 10B' }))
    const response = await fetch(gateway.url, { method: 'POST', body: 'x'.repeat(11) })
    expect(await problem(response)).toMatchObject({ status: 413, code: 'GW_REQUEST_BODY_TOO_LARGE' })
    expect(server.connections()).toBe(0)
    expect((await fetch(gateway.url, { method: 'POST', body: 'x'.repeat(10) })).status).toBe(200)
  })

  test('a chunked body that grows too long: 413, and the service sees it break off', async () => {
    let ended: string | undefined
    const server = await opened(
      httpServer((request) => {
        request.on('end', () => {
          ended = 'complete'
        })
        request.on('error', () => {
          ended = 'broken'
        })
        request.resume()
      }),
    )
    const gateway = await proxy(oneRoute([server.port], { route: 'maxBody: 10B' }))
    const client = rawClient(gateway.port)
    client.send(`POST / HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n`)
    await waitFor(() => server.connections() === 1)
    client.send('8\r\n12345678\r\n')
    const [answer] = await client.answers(1)
    expect(answer).toMatchObject({ status: 413, headers: { connection: 'close' } })
    expect(await gateway.record()).toMatchObject({ status: 413, outcome: 'body_too_large' })
    await waitFor(() => ended !== undefined)
    expect(ended).toBe('broken')
    client.send('0\r\n\r\n')
    await client.closed()
  })

  test('a chunked body that fits passes whole', async () => {
    const gateway = await proxy(oneRoute([(await echo()).port], { route: 'maxBody: 10B' }))
    const answer = await rawExchange(
      gateway.port,
      `POST / HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n5\r\n67890\r\n0\r\n\r\n`,
    )
    expect(answer).toMatchObject({ status: 200, body: '1234567890' })
  })

  test('a long target: 414; long headers: 431; many headers: 431', async () => {
    const gateway = await proxy(
      oneRoute([(await echo()).port], {
        top: 'limits: { urlBytes: 100B, headerBytes: 1000B, headerCount: 5 }',
      }),
    )
    const get = (target: string, fields: string) =>
      rawExchange(gateway.port, `GET ${target} HTTP/1.1\r\n${HEAD}${fields}\r\n`)
    expect((await get(`/${'a'.repeat(99)}`, '')).status).toBe(200)
    expect((await get(`/${'a'.repeat(100)}`, '')).status).toBe(414)
    expect((await get('/', `X-A: ${'a'.repeat(990)}\r\n`)).status).toBe(431)
    expect((await get('/', `X-A: ${'a'.repeat(5000)}\r\n`)).status).toBe(431)
    expect((await get('/', 'X-A: a\r\n'.repeat(5))).status).toBe(431)
    expect(gateway.malformed).toEqual(['GW_REQUEST_HEADERS_TOO_LARGE'])
  })

  test('a target far over the limit is 414, too', async () => {
    const gateway = await proxy(oneRoute([(await echo()).port], { top: 'limits: { urlBytes: 100B }' }))
    const answer = await rawExchange(gateway.port, `GET /${'a'.repeat(15_000)} HTTP/1.1\r\n${HEAD}\r\n`)
    expect(answer.status).toBe(414)
  })

  test('a body that stops coming: 408', async () => {
    const server = await opened(httpServer((request) => void request.resume()))
    const gateway = await proxy(oneRoute([server.port], { route: 'timeouts: { idle: 150ms }' }))
    const client = rawClient(gateway.port)
    client.send(`POST / HTTP/1.1\r\n${HEAD}Content-Length: 10\r\n\r\n123`)
    await client.closed()
    expect(client.text()).toMatch(/^HTTP\/1.1 408 /)
    expect(await gateway.record()).toMatchObject({ status: 408, outcome: 'client_timeout' })
    await waitFor(() => server.sockets.size === 0)
  })

  test('headers that do not come: 408', async () => {
    const gateway = await proxy(oneRoute([1], { top: 'limits: { headersTimeout: 200ms }' }))
    const client = rawClient(gateway.port)
    client.send('GET / HTTP/1.1\r\nHost: a.exa')
    expect(await client.answers(1)).toMatchObject([{ status: 408 }])
    await client.closed()
    expect(gateway.malformed).toEqual(['GW_REQUEST_TIMEOUT'])
  })

  test('an idle connection is closed', async () => {
    const gateway = await proxy(
      oneRoute([(await echo()).port], { top: 'limits: { keepAliveTimeout: 100ms }' }),
    )
    const client = rawClient(gateway.port)
    client.send(`GET / HTTP/1.1\r\n${HEAD}\r\n`)
    await client.answers(1)
    await client.closed()
  })

  test('what is malformed waits for the answer to the request before it', async () => {
    const server = await opened(
      httpServer((_request, response) => {
        response.write('half')
        setTimeout(() => response.end('half'), 100)
      }),
    )
    const gateway = await proxy(oneRoute([server.port]))
    const client = rawClient(gateway.port)
    client.send(`GET / HTTP/1.1\r\n${HEAD}\r\n`)
    await waitFor(() => client.text().includes('half'))
    client.send('nonsense\r\n\r\n')
    await client.closed()
    expect(await client.answers(2)).toMatchObject([{ status: 200, body: 'halfhalf' }, { status: 400 }])
  })
})
