import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { PassThrough, Readable } from 'node:stream'
import { afterEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/core/duration.ts'
import { createIdSource } from '../../src/core/ids.ts'
import type { RetryPolicy, ServicePolicy } from '../../src/core/route.ts'
import type { Instance } from '../../src/core/types.ts'
import { forward } from '../../src/proxy/forward.ts'
import type { Upstreams } from '../../src/proxy/upstreams.ts'
import {
  anExchange,
  anInstance,
  aPolicy,
  aRouted,
  aService,
  aTable,
  type ExchangeParts,
  quietLog,
  someUpstreams,
} from '../support/exchange.ts'
import { freePort } from '../support/ports.ts'
import { httpServer, rawServer, type Scripted } from '../support/scripted-server.ts'
import { selfSigned } from '../support/self-signed.ts'
import { waitFor } from '../support/wait.ts'

const deps = { clock: systemClock, random: Math.random, newId: createIdSource(), log: quietLog }
const cleanups: (() => Promise<void>)[] = []
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

async function started(server: Promise<Scripted>): Promise<Scripted> {
  const one = await server
  cleanups.push(() => one.close())
  return one
}

function retries(own: Partial<RetryPolicy> = {}): { retries: RetryPolicy } {
  return { retries: { ...aPolicy().retries, ...own } }
}

/** Instances are picked in the order given: round robin starts at the first. */
function gateway(instances: readonly Instance[], policy: Partial<ServicePolicy> = {}) {
  const service = aService(instances, policy)
  const upstreams = someUpstreams(aTable(service))
  cleanups.push(() => upstreams.close())
  return {
    upstreams,
    service,
    async send(parts: ExchangeParts = {}) {
      const exchange = anExchange(aRouted(service), parts)
      const result = await forward(exchange, upstreams, deps)
      return { ...result, sink: exchange.sink, tries: result.attempts.map((one) => one.outcome) }
    },
  }
}

function expectIdle(upstreams: Upstreams): void {
  for (const one of upstreams.stats()) expect(one.inFlight).toBe(0)
  for (const one of upstreams.serviceStats()) {
    expect([one.inFlight, one.retrying]).toEqual([0, 0])
  }
}

const okServer = () => started(httpServer((request, response) => request.pipe(response)))

describe('never written', () => {
  test.each(['GET', 'POST', 'PATCH'])(
    'a refused %s goes to another instance with its whole body',
    async (method) => {
      const server = await okServer()
      const { send, upstreams } = gateway([anInstance('a', await freePort()), anInstance('b', server.port)])
      const stream = Readable.from([Buffer.from('hel'), Buffer.from('lo')])
      const result = await send({ method, body: { kind: 'stream', stream, length: undefined } })
      expect(result.tries).toEqual(['connect_failed', 'ok'])
      expect(result.sink.body).toBe('hello')
      expectIdle(upstreams)
    },
  )

  test('an unknown name and a certificate that nobody trusts go to another instance, too', async () => {
    const pem = await selfSigned('localhost')
    const tls = createTlsServer(pem, (_request, response) => response.end('secret'))
    await new Promise<void>((resolve) => tls.listen(0, '127.0.0.1', resolve))
    cleanups.push(async () => void tls.close())
    const server = await okServer()
    const { send } = gateway([
      anInstance('a', (tls.address() as AddressInfo).port, { scheme: 'https' }),
      anInstance('b', 80, { address: 'no-such-host.invalid' }),
      anInstance('c', server.port),
    ])
    const result = await send()
    expect(result.tries).toEqual(['tls_failed', 'connect_failed', 'ok'])
  })

  test.each(['GET', 'POST'])('one of many that lives is found, however many refuse a %s', async (method) => {
    const server = await okServer()
    const dead = await Promise.all(
      ['a', 'b', 'c', 'd', 'e'].map(async (id) => anInstance(id, await freePort())),
    )
    const { send, upstreams } = gateway([...dead, anInstance('f', server.port)])
    const answers = await Promise.all(Array.from({ length: 30 }, () => send({ method })))
    expect(new Set(answers.map(({ outcome }) => outcome))).toEqual(new Set(['ok']))
    expect(upstreams.serviceStats()[0]).toMatchObject({ retries: 0, retryOverflows: 0 })
    expectIdle(upstreams)
  })

  test('with one instance only, it is asked again after a moment', async () => {
    const { send, upstreams } = gateway([anInstance('a', await freePort())])
    const result = await send()
    expect(result.tries).toEqual(['connect_failed', 'connect_failed', 'connect_failed'])
    expect(result.refuse).toEqual({ code: 'GW_UPSTREAM_CONNECT' })
    expectIdle(upstreams)
  })

  test('nothing is retried with `attempts` 0', async () => {
    const server = await okServer()
    const { send } = gateway(
      [anInstance('a', await freePort()), anInstance('b', server.port)],
      retries({ attempts: 0 }),
    )
    const result = await send()
    expect(result.tries).toEqual(['connect_failed'])
    expect(result.refuse).toEqual({ code: 'GW_UPSTREAM_CONNECT' })
  })
})

describe('written, but not answered', () => {
  const reset = () => started(rawServer((socket) => socket.resetAndDestroy()))

  test.each(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'])(
    'a reset %s goes to another instance',
    async (method) => {
      const broken = await reset()
      const server = await okServer()
      const { send, upstreams } = gateway([anInstance('a', broken.port), anInstance('b', server.port)])
      const result = await send({ method })
      expect(result.tries).toEqual(['reset', 'ok'])
      expectIdle(upstreams)
    },
  )

  test.each(['POST', 'PATCH'])('a reset %s is not repeated', async (method) => {
    const broken = await reset()
    const server = await okServer()
    const { send, upstreams } = gateway([anInstance('a', broken.port), anInstance('b', server.port)])
    const result = await send({ method, body: { kind: 'buffer', bytes: Buffer.from('pay 5') } })
    expect(result.tries).toEqual(['reset'])
    expect(result.refuse).toEqual({ code: 'GW_UPSTREAM_RESET' })
    expect(server.connections()).toBe(0)
    expectIdle(upstreams)
  })

  test('each try has a span of its own in the same trace', async () => {
    const seen: string[] = []
    const answerOrNot = (isGood: boolean) =>
      started(
        rawServer((socket, request) => {
          seen.push(/^traceparent: (.*)$/im.exec(request)?.[1] ?? '')
          if (isGood) socket.write(OK)
          else socket.destroy()
        }),
      )
    const [bad, good] = [await answerOrNot(false), await answerOrNot(true)]
    const { send } = gateway([anInstance('bad', bad.port), anInstance('good', good.port)])
    const trace = '0af7651916cd43dd8448eb211c80319c'
    const sent = `00-${trace}-b7ad6b7169203331-01`
    expect((await send({ headers: ['traceparent', sent] })).sink.status).toBe(200)
    expect(seen[0]).toBe(sent)
    expect(seen[1]).toMatch(new RegExp(`^00-${trace}-[0-9a-f]{16}-01$`))
    expect(seen[1]).not.toBe(sent)
  })

  test('a POST with Idempotency-Key is repeated where the policy says so', async () => {
    const broken = await reset()
    const server = await okServer()
    const instances = [anInstance('a', broken.port), anInstance('b', server.port)]
    const parts = { method: 'POST', headers: ['Idempotency-Key', 'k'] }
    expect((await gateway(instances).send(parts)).tries).toEqual(['reset'])
    expect((await gateway(instances, retries({ idempotencyKey: true })).send(parts)).tries).toEqual([
      'reset',
      'ok',
    ])
  })

  test('a streamed PUT is repeated byte for byte while it fits in the replay buffer', async () => {
    const bytes = Buffer.from(Array.from({ length: 40_000 }, (_, i) => i % 251))
    const broken = await started(
      httpServer((request) => {
        request.once('data', () => request.socket.resetAndDestroy())
      }),
    )
    const server = await okServer()
    const { send } = gateway([anInstance('a', broken.port), anInstance('b', server.port)])
    const chunks = [bytes.subarray(0, 10_000), bytes.subarray(10_000, 25_000), bytes.subarray(25_000)]
    const result = await send({
      method: 'PUT',
      body: { kind: 'stream', stream: Readable.from(chunks), length: bytes.length },
    })
    expect(result.tries).toEqual(['reset', 'ok'])
    expect(Buffer.concat(result.sink.chunks).equals(bytes)).toBe(true)
  })

  test('a repeated body goes on with what the client sends later', async () => {
    const stream = new PassThrough()
    const broken = await started(
      httpServer((request) => {
        request.once('data', () => request.socket.resetAndDestroy())
      }),
    )
    const server = await started(
      httpServer((request, response) => {
        request.once('data', () => stream.end('second'))
        request.pipe(response)
      }),
    )
    stream.write('first ')
    const { send } = gateway([anInstance('a', broken.port), anInstance('b', server.port)])
    const result = await send({ method: 'PUT', body: { kind: 'stream', stream, length: undefined } })
    expect(result.tries).toEqual(['reset', 'ok'])
    expect(result.sink.body).toBe('first second')
  })

  test('a PUT larger than the replay buffer is not repeated', async () => {
    const broken = await started(
      httpServer((request) => {
        let seen = 0
        request.on('data', (chunk) => {
          seen += chunk.length
          if (seen > 150_000) request.socket.resetAndDestroy()
        })
      }),
    )
    const server = await okServer()
    const { send } = gateway([anInstance('a', broken.port), anInstance('b', server.port)])
    const stream = Readable.from([Buffer.alloc(100_000), Buffer.alloc(100_000)])
    const result = await send({ method: 'PUT', body: { kind: 'stream', stream, length: 200_000 } })
    expect(result.tries).toEqual(['reset'])
    expect(server.connections()).toBe(0)
  })

  test.each([2, 3, 5])(
    'the crash of one of %i instances loses no GET that it was working on',
    async (count) => {
      let working = 0
      const crashing = await started(httpServer(() => working++))
      const servers = await Promise.all(Array.from({ length: count - 1 }, okServer))
      const instances = [crashing, ...servers].map(({ port }, i) => anInstance(`${i}`, port))
      const { send, upstreams } = gateway(instances, { maxConnections: 200 })
      const answers = Array.from({ length: 30 * count }, () => send())
      await waitFor(() => working === 30)
      for (const socket of crashing.sockets) socket.destroy()
      const outcomes = (await Promise.all(answers)).map(({ outcome }) => outcome)
      expect(outcomes.filter((outcome) => outcome !== 'ok')).toEqual([])
      expect(upstreams.serviceStats()[0]?.retries).toBe(30)
      expectIdle(upstreams)
    },
  )

  test('a header timeout is 504, and repeated only where the policy says so', async () => {
    const silent = await started(rawServer(() => {}))
    const server = await okServer()
    const timeouts = { connectMs: 1000, headersMs: 60, idleMs: 0, totalMs: 0, perTryMs: 0 }
    const instances = [anInstance('a', silent.port), anInstance('b', server.port)]
    const first = await gateway(instances, { timeouts }).send()
    expect([first.tries, first.refuse]).toEqual([['header_timeout'], { code: 'GW_UPSTREAM_TIMEOUT' }])
    const policy = { timeouts, ...retries({ on: ['timeout'] }) }
    expect((await gateway(instances, policy).send()).tries).toEqual(['header_timeout', 'ok'])
  })

  test('a limit on one try leaves time for another', async () => {
    const silent = await started(rawServer(() => {}))
    const server = await okServer()
    const { send, upstreams } = gateway([anInstance('a', silent.port), anInstance('b', server.port)], {
      timeouts: { connectMs: 1000, headersMs: 0, idleMs: 0, totalMs: 5000, perTryMs: 250 },
      ...retries({ on: ['timeout'] }),
    })
    expect((await send()).tries).toEqual(['header_timeout', 'ok'])
    expectIdle(upstreams)
    await waitFor(() => silent.sockets.size === 0)
  })

  test('the whole deadline ends all tries together', async () => {
    const silent = await started(rawServer(() => {}))
    const { send, upstreams } = gateway([anInstance('a', silent.port)], {
      timeouts: { connectMs: 1000, headersMs: 0, idleMs: 0, totalMs: 60, perTryMs: 0 },
    })
    const result = await send()
    expect([result.outcome, result.refuse]).toEqual(['deadline', { code: 'GW_UPSTREAM_DEADLINE' }])
    expectIdle(upstreams)
  })
})

describe('a stale keep-alive socket', () => {
  /** Answers the first request of a socket and resets it when the second arrives. */
  const staleServer = (breakOff: 'reset' | 'close') =>
    started(
      rawServer((socket, _request, count) => {
        if (count === 1) socket.write(OK)
        else if (breakOff === 'reset') socket.resetAndDestroy()
        else socket.destroy()
      }),
    )

  test.each(['reset', 'close'] as const)(
    '%s: one try on a new connection, outside policy and budget',
    async (kind) => {
      const server = await staleServer(kind)
      const { send, upstreams } = gateway([anInstance('a', server.port)], retries({ attempts: 0 }))
      expect((await send()).tries).toEqual(['ok'])
      await waitFor(() => upstreams.stats()[0]?.pool.free === 1)
      const second = await send()
      expect(second.tries).toEqual(['reset', 'ok'])
      expect(second.sink.body).toBe('ok')
      expect(server.connections()).toBe(2)
      expect(upstreams.serviceStats()[0]?.retries).toBe(0)
      expectIdle(upstreams)
    },
  )

  test('a POST is not repeated', async () => {
    const server = await staleServer('reset')
    const { send, upstreams } = gateway([anInstance('a', server.port)])
    await send()
    await waitFor(() => upstreams.stats()[0]?.pool.free === 1)
    const result = await send({ method: 'POST' })
    expect([result.tries, result.refuse]).toEqual([['reset'], { code: 'GW_UPSTREAM_RESET' }])
  })

  test('a reset on a new connection is no stale socket', async () => {
    const server = await started(rawServer((socket) => socket.resetAndDestroy()))
    const { send } = gateway([anInstance('a', server.port)], retries({ attempts: 0 }))
    expect((await send()).tries).toEqual(['reset'])
    expect(server.connections()).toBe(1)
  })
})

describe('answered', () => {
  const answers = (status: number, headers: Record<string, string> = {}, body = 'busy') =>
    started(httpServer((_request, response) => response.writeHead(status, headers).end(body)))

  test('a response byte forbids any other try', async () => {
    const broken = await started(
      rawServer((socket) => socket.write('HTTP/1.1 20', () => setImmediate(() => socket.destroy()))),
    )
    const server = await okServer()
    const { send } = gateway([anInstance('a', broken.port), anInstance('b', server.port)])
    const result = await send()
    expect(result.tries).toHaveLength(1)
    expect(result.refuse?.code).toMatch(/^GW_UPSTREAM_(RESET|PROTOCOL)$/)
    expect(server.connections()).toBe(0)
  })

  test('what is no HTTP is GW_UPSTREAM_PROTOCOL', async () => {
    const broken = await started(rawServer((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n\r\n')))
    const { send } = gateway([anInstance('a', broken.port)])
    expect((await send()).refuse).toEqual({ code: 'GW_UPSTREAM_PROTOCOL' })
  })

  test('a 503 is passed on as it is', async () => {
    const busy = await answers(503, { 'retry-after': '1' })
    const server = await okServer()
    const { send } = gateway([anInstance('a', busy.port), anInstance('b', server.port)])
    const result = await send()
    expect([result.outcome, result.sink.status, result.sink.body]).toEqual(['ok', 503, 'busy'])
    expect(result.tries).toEqual(['ok'])
  })

  test.each([
    [503, { on: ['gateway-error'] as const }],
    [500, { on: ['5xx'] as const }],
    [429, { statuses: [429] }],
  ])('a %i is repeated where the policy says so, with the tries numbered', async (status, own) => {
    const busy = await answers(status)
    const numbers: unknown[] = []
    const server = await started(
      httpServer((request, response) => {
        numbers.push(request.headers['x-sluice-attempt'])
        response.end('fine')
      }),
    )
    const { send, upstreams } = gateway(
      [anInstance('a', busy.port), anInstance('b', server.port)],
      retries(own),
    )
    const result = await send()
    expect(result.attempts.map((one) => one.status)).toEqual([status, 200])
    expect(result.sink.body).toBe('fine')
    expect(numbers).toEqual(['2'])
    expectIdle(upstreams)
    expect((await send({ method: 'POST' })).attempts).toHaveLength(1)
  })

  test('the last failure is what the client sees when the tries are used up', async () => {
    const busy = await answers(503)
    const { send } = gateway([anInstance('a', busy.port)], retries({ attempts: 2, on: ['gateway-error'] }))
    const result = await send()
    expect(result.attempts.map((one) => one.status)).toEqual([503, 503, 503])
    expect([result.sink.status, result.sink.body]).toEqual([503, 'busy'])
  })

  test('an inner layer does not multiply the tries of an outer one', async () => {
    const busy = await answers(503)
    const { send } = gateway([anInstance('a', busy.port)], retries({ on: ['gateway-error'] }))
    expect((await send({ headers: ['x-sluice-attempt', '2'] })).attempts).toHaveLength(1)
  })

  test('thrown-away answers of 1 MB leave no socket stuck', async () => {
    const busy = await answers(503, {}, 'x'.repeat(1_000_000))
    const server = await okServer()
    const { send, upstreams } = gateway([anInstance('a', busy.port), anInstance('b', server.port)], {
      maxConnections: 2,
      balance: { kind: 'least-request' },
      ...retries({ on: ['gateway-error'] }),
    })
    for (let i = 0; i < 30; i++) expect((await send()).outcome).toBe('ok')
    expectIdle(upstreams)
    await waitFor(() => upstreams.stats().every((one) => one.pool.running === 0 && one.pool.pending === 0))
  })

  test('over the budget the failure is the answer, and it is counted', async () => {
    const busy = await answers(503)
    const hanging = await started(httpServer(() => {}))
    const { send, upstreams, service } = gateway(
      [anInstance('a', busy.port), anInstance('b', hanging.port)],
      retries({ on: ['gateway-error'], attempts: 1 }),
    )
    const stop = new AbortController()
    const blocked = Array.from({ length: 6 }, () => send({ signal: stop.signal }))
    await waitFor(() => upstreams.serviceStats()[0]?.retrying === 3)
    expect(service.name).toBe('shop')
    const probes = [send({ signal: stop.signal }), send({ signal: stop.signal })]
    const refused = await Promise.race(probes)
    expect([refused.tries, refused.sink.status]).toEqual([['ok'], 503])
    expect(upstreams.serviceStats()[0]?.retryOverflows).toBeGreaterThan(0)
    stop.abort()
    await Promise.all([...blocked, ...probes])
    expectIdle(upstreams)
  })
})

describe('no place to go', () => {
  test('no instance: 503 with Retry-After', async () => {
    const { send } = gateway([])
    expect(await send()).toMatchObject({
      outcome: 'no_instance',
      refuse: { code: 'GW_UPSTREAM_NO_INSTANCE', retryAfterSeconds: 2 },
    })
  })

  test('an unknown service', async () => {
    const { upstreams } = gateway([])
    const exchange = anExchange(aRouted(undefined))
    expect(await forward(exchange, upstreams, deps)).toMatchObject({
      outcome: 'no_service',
      refuse: { code: 'GW_UPSTREAM_UNKNOWN_SERVICE' },
    })
  })

  test('sockets and queue are bounded: the next one is an overflow', async () => {
    const silent = await started(rawServer(() => {}))
    const { send, upstreams } = gateway([anInstance('a', silent.port)], { maxConnections: 1, maxPending: 1 })
    const stop = new AbortController()
    const waiting = [send({ signal: stop.signal }), send({ signal: stop.signal })]
    expect((await send()).refuse).toEqual({ code: 'GW_UPSTREAM_OVERFLOW', retryAfterSeconds: 1 })
    expect(silent.connections()).toBeLessThanOrEqual(1)
    stop.abort()
    await Promise.all(waiting)
    expectIdle(upstreams)
  })
})
