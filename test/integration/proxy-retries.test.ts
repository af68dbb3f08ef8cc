import { describe, expect, test } from 'vitest'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { freePort } from '../support/ports.ts'
import { rawClient, rawExchange } from '../support/raw.ts'
import { httpServer, rawServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const { opened, proxy } = useCleanups()
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const echo = () => opened(httpServer((request, response) => request.pipe(response)))

describe('another instance takes over', () => {
  test.each(['GET', 'POST', 'PATCH'])('%s: the first one refuses the connection', async (method) => {
    const gateway = await proxy(oneRoute([await freePort(), (await echo()).port]))
    for (let i = 0; i < 5; i++) {
      const body = method === 'GET' ? null : `body ${i}`
      const response = await fetch(gateway.url, { method, body })
      expect([response.status, await response.text()]).toEqual([200, body ?? ''])
    }
    expect(gateway.records[0]?.attempts.map(({ outcome }) => outcome)).toEqual(['connect_failed', 'ok'])
    // Ejected: the later requests did not try it first.
    expect(gateway.records.slice(1).flatMap(({ attempts }) => attempts)).toHaveLength(4)
  })

  test('a chunked body that arrives slowly is sent again from its beginning', async () => {
    const server = await echo()
    const gateway = await proxy(oneRoute([await freePort(), server.port]))
    const client = rawClient(gateway.port)
    client.send('POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n')
    await waitFor(() => server.connections() === 1)
    client.send('3\r\ntwo\r\n0\r\n\r\n')
    expect(await client.answers(1)).toMatchObject([{ status: 200, body: 'onetwo' }])
    client.socket.destroy()
  })

  test.each([
    ['GET', 200],
    ['PUT', 200],
    ['DELETE', 200],
    ['POST', 502],
    ['PATCH', 502],
  ])('%s: the first one resets the connection: %i', async (method, status) => {
    const broken = await opened(rawServer((socket) => socket.resetAndDestroy()))
    const gateway = await proxy(oneRoute([broken.port, (await echo()).port]))
    expect((await fetch(gateway.url, { method })).status).toBe(status)
    expect((await gateway.record()).attempts).toHaveLength(status === 200 ? 2 : 1)
  })

  test('POST with Idempotency-Key, where the service says so', async () => {
    const broken = await opened(rawServer((socket) => socket.resetAndDestroy()))
    const gateway = await proxy(
      oneRoute([broken.port, (await echo()).port], { service: 'retries: { idempotencyKey: true }' }),
    )
    const headers = { 'idempotency-key': '1' }
    const response = await fetch(gateway.url, { method: 'POST', body: 'once', headers })
    expect([response.status, await response.text()]).toEqual([200, 'once'])
  })

  test('a body larger than the replay limit is not sent twice', async () => {
    const broken = await opened(
      httpServer((request) => {
        let seen = 0
        request.on('data', (chunk: Buffer) => {
          seen += chunk.length
          if (seen > 100_000) request.socket.resetAndDestroy()
        })
      }),
    )
    const gateway = await proxy(oneRoute([broken.port, (await echo()).port]))
    const response = await fetch(gateway.url, { method: 'PUT', body: Buffer.alloc(1_000_000) })
    expect([response.status, (await gateway.record()).attempts.length]).toEqual([502, 1])
  })

  test('nothing is tried again once the answer has begun', async () => {
    const half = await opened(
      rawServer((socket) => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
        setTimeout(() => socket.destroy(), 20)
      }),
    )
    const gateway = await proxy(oneRoute([half.port, (await echo()).port]))
    const client = rawClient(gateway.port)
    client.send('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
    expect(await client.closed()).toMatch(/half$/)
    expect((await gateway.record()).attempts).toHaveLength(1)
  })

  test('503 of one instance, where the service says so: the other one answers', async () => {
    const busy = await opened(httpServer((_request, response) => response.writeHead(503).end('busy')))
    const gateway = await proxy(
      oneRoute([busy.port, (await echo()).port], { service: 'retries: { on: [gateway-error] }' }),
    )
    const response = await fetch(gateway.url)
    expect([response.status, await response.text()]).toEqual([200, ''])
    expect((await gateway.record()).attempts.map(({ status }) => status)).toEqual([503, 200])
  })
})

describe('a socket that went stale in the pool', () => {
  /** Answers one request a connection, then resets it when the next arrives. */
  const stale = () =>
    opened(
      rawServer((socket, _request, count) => {
        if (count === 1) socket.write(OK)
        else socket.resetAndDestroy()
      }),
    )

  test('a client never sees it', async () => {
    const server = await stale()
    const gateway = await proxy(oneRoute([server.port], { service: 'retries: { attempts: 0 }' }))
    for (let i = 0; i < 6; i++) {
      const answer = await rawExchange(gateway.port, 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
      expect(answer).toMatchObject({ status: 200, body: 'ok' })
      await waitFor(() => gateway.upstreams.stats()[0]?.pool.running === 0)
    }
    const tries = gateway.records.flatMap(({ attempts }) => attempts.map(({ outcome }) => outcome))
    expect(tries).toContain('reset')
    expect(gateway.upstreams.serviceStats()[0]?.retries).toBe(0)
  })

  test('a service that closes idle connections early loses no request', async () => {
    const server = await opened(
      rawServer((socket) => {
        socket.write(OK)
        setTimeout(() => socket.end(), Math.random() * 4)
      }),
    )
    const gateway = await proxy(oneRoute([server.port]))
    const client = rawClient(gateway.port)
    for (let i = 0; i < 200; i++) {
      client.send('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
      const answers = await client.answers(i + 1)
      expect([i, answers[i]?.status]).toEqual([i, 200])
    }
    client.socket.destroy()
  })
})

describe('limits', () => {
  test('many failures at once: the budget bounds the tries', async () => {
    const asked: string[] = []
    const busy = () =>
      opened(
        httpServer((request, response) => {
          asked.push(request.url ?? '')
          setTimeout(() => response.writeHead(503).end(), 50)
        }),
      )
    const gateway = await proxy(
      oneRoute([(await busy()).port, (await busy()).port], {
        service: 'retries: { on: [gateway-error], attempts: 5 }\nmaxConnections: 200',
      }),
    )
    const statuses = await Promise.all(
      Array.from({ length: 100 }, async () => (await fetch(gateway.url)).status),
    )
    expect(new Set(statuses)).toEqual(new Set([503]))
    expect(asked.length).toBeLessThan(260)
    expect(gateway.upstreams.serviceStats()[0]).toMatchObject({ inFlight: 0, retrying: 0 })
    expect(gateway.upstreams.serviceStats()[0]?.retryOverflows).toBeGreaterThan(0)
  })

  test('a TLS handshake that hangs: 504 after the connect limit', async () => {
    const mute = await opened(rawServer(() => {}))
    const gateway = await proxy(
      oneRoute([mute.port], {
        scheme: 'https',
        service: 'timeouts: { connect: 200ms }\nretries: { attempts: 0 }',
      }),
    )
    const response = await fetch(gateway.url)
    expect([response.status, (await gateway.record()).code]).toEqual([504, 'GW_UPSTREAM_CONNECT_TIMEOUT'])
    await waitFor(() => mute.sockets.size === 0)
  })

  test('sockets and queue full: 503 with Retry-After, the others are served', async () => {
    const release: (() => void)[] = []
    const server = await opened(
      httpServer((_request, response) => void release.push(() => response.end('ok'))),
    )
    const gateway = await proxy(oneRoute([server.port], { service: 'maxConnections: 1\nmaxPending: 1' }))
    const first = fetch(gateway.url)
    const second = fetch(gateway.url)
    await waitFor(() => gateway.upstreams.stats()[0]?.inFlight === 2 && release.length === 1)
    const third = await fetch(gateway.url)
    expect([third.status, third.headers.get('retry-after')]).toEqual([503, '1'])
    release[0]?.()
    expect((await first).status).toBe(200)
    await waitFor(() => release.length === 2)
    release[1]?.()
    expect((await second).status).toBe(200)
  })
})

describe('the table changes under way', () => {
  test('a request that runs is finished by the instance that has left', async () => {
    const release: (() => void)[] = []
    const old = await opened(httpServer((_request, response) => void release.push(() => response.end('old'))))
    const next = await opened(httpServer((_request, response) => response.end('new')))
    const gateway = await proxy(oneRoute([old.port]))
    const running = fetch(gateway.url)
    await waitFor(() => release.length === 1)
    await gateway.swap(oneRoute([next.port]))
    expect(await (await fetch(gateway.url)).text()).toBe('new')
    release[0]?.()
    expect(await (await running).text()).toBe('old')
    await waitFor(() => old.sockets.size === 0)
  })

  test('requests that wait for a socket of an instance that leaves go to another one', async () => {
    const old = await opened(
      httpServer((_request, response) => void setTimeout(() => response.end('old'), 50)),
    )
    const next = await opened(httpServer((_request, response) => response.end('new')))
    const gateway = await proxy(oneRoute([old.port], { service: 'maxConnections: 1' }))
    const running = Array.from({ length: 5 }, () => fetch(gateway.url, { method: 'POST', body: 'x' }))
    await waitFor(() => gateway.upstreams.stats()[0]?.inFlight === 5)
    await gateway.swap(oneRoute([next.port], { service: 'maxConnections: 1' }))
    for (const one of running) expect((await one).status).toBe(200)
  })
})
