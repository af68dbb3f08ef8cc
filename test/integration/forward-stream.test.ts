import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { PassThrough, Readable } from 'node:stream'
import { afterEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/core/duration.ts'
import { createIdSource } from '../../src/core/ids.ts'
import type { ServicePolicy } from '../../src/core/route.ts'
import { forward } from '../../src/proxy/forward.ts'
import type { Upstreams } from '../../src/proxy/upstreams.ts'
import {
  anExchange,
  anInstance,
  aRouted,
  aService,
  aTable,
  type ExchangeParts,
  quietLog,
  RecordingSink,
  someUpstreams,
} from '../support/exchange.ts'
import { httpServer, rawServer, type Scripted } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const deps = { clock: systemClock, random: Math.random, newId: createIdSource(), log: quietLog }
const cleanups: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

async function started(server: Promise<Scripted>): Promise<Scripted> {
  const one = await server
  cleanups.push(() => one.close())
  return one
}

function gateway(server: Scripted, policy: Partial<ServicePolicy> = {}) {
  const service = aService([anInstance('a', server.port)], policy)
  const upstreams = someUpstreams(aTable(service))
  cleanups.push(() => upstreams.close())
  return {
    upstreams,
    send(parts: ExchangeParts = {}, routed = aRouted(service)) {
      const exchange = anExchange(routed, parts)
      return { sink: exchange.sink, result: forward(exchange, upstreams, deps) }
    },
  }
}

function expectIdle(upstreams: Upstreams): void {
  for (const one of upstreams.stats()) expect(one.inFlight).toBe(0)
  for (const one of upstreams.serviceStats()) {
    expect(one.inFlight).toBe(0)
    expect(one.retrying).toBe(0)
  }
}

describe('a forwarded answer', () => {
  test('passes status, header case, duplicates and body; hop-by-hop fields do not', async () => {
    const server = await started(
      rawServer((socket) =>
        socket.write(
          'HTTP/1.1 201 Created\r\nX-Mixed-Case: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n' +
            'Connection: keep-alive, X-Secret\r\nX-Secret: s\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok',
        ),
      ),
    )
    const { send, upstreams } = gateway(server)
    const { sink, result } = send()
    expect(await result).toMatchObject({ outcome: 'ok', bytesReceived: 2 })
    expect(sink.status).toBe(201)
    expect(sink.headers?.raw()).toEqual([
      'X-Mixed-Case',
      '1',
      'Set-Cookie',
      'a=1',
      'Set-Cookie',
      'b=2',
      'Content-Length',
      '2',
    ])
    expect(sink.body).toBe('ok')
    expect(sink.hasEnded).toBe(true)
    expectIdle(upstreams)
  })

  test('sends Host, x-sluice-attempt and the fields of the exchange, none of its framing', async () => {
    let seen: string[] = []
    const server = await started(
      httpServer((request, response) => {
        seen = request.rawHeaders
        response.end()
      }),
    )
    const { send } = gateway(server)
    await send({ headers: ['X-Own', '1', 'Transfer-Encoding', 'chunked', 'X-Sluice-Attempt', 'x'] }).result
    const fields = Object.fromEntries(
      seen.map((name, i) => [name.toLowerCase(), seen[i + 1]]).filter((_, i) => i % 2 === 0),
    )
    expect(fields).toEqual({
      host: 'shop.example',
      connection: 'keep-alive',
      'x-own': '1',
      'x-sluice-attempt': '1',
    })
  })

  test('passes 103 Early Hints before the head, and trailers after the body', async () => {
    const server = await started(
      httpServer((_request, response) => {
        response.writeEarlyHints({ link: '</a.css>; rel=preload' }, () => {
          response.writeHead(200, { trailer: 'x-sum' })
          response.write('body')
          response.addTrailers({ 'x-sum': '42', authorization: 'x' })
          response.end()
        })
      }),
    )
    const { sink, result } = gateway(server).send()
    expect((await result).outcome).toBe('ok')
    expect(sink.hints.map((hint) => [hint.status, hint.headers.get('link')])).toEqual([
      [103, '</a.css>; rel=preload'],
    ])
    expect(sink.trailers?.raw()).toEqual(['x-sum', '42'])
  })

  test.each([
    ['HEAD', 200],
    ['GET', 204],
    ['GET', 304],
  ])('ends a %s answer %i without a body', async (method, status) => {
    const server = await started(
      httpServer((_request, response) => {
        response.writeHead(status, status === 200 ? { 'content-length': '5' } : {})
        response.end()
      }),
    )
    const { sink, result } = gateway(server).send({ method })
    expect((await result).outcome).toBe('ok')
    expect(sink.status).toBe(status)
    expect(sink.chunks).toEqual([])
    expect(sink.hasEnded).toBe(true)
  })

  test('reads no body before an asynchronous head is done, then loses nothing of it', async () => {
    const server = await started(httpServer((_request, response) => response.end('x'.repeat(200_000))))
    const sink = new RecordingSink()
    let open = () => {}
    sink.headGate = new Promise<void>((resolve) => {
      open = resolve
    })
    const { result } = gateway(server).send({ sink })
    await waitFor(() => sink.status === 200)
    expect(sink.chunks).toEqual([])
    open()
    expect(await result).toMatchObject({ outcome: 'ok', bytesReceived: 200_000 })
    expect(sink.body.length).toBe(200_000)
  })

  test('ends a bodiless answer only after an asynchronous head', async () => {
    const server = await started(httpServer((_request, response) => response.writeHead(204).end()))
    const sink = new RecordingSink()
    let open = () => {}
    sink.headGate = new Promise<void>((resolve) => {
      open = resolve
    })
    const { result } = gateway(server).send({ sink })
    await waitFor(() => sink.status === 204)
    expect(sink.hasEnded).toBe(false)
    open()
    expect((await result).outcome).toBe('ok')
    expect(sink.hasEnded).toBe(true)
  })

  test('stops reading from the instance while the client is slow', async () => {
    const total = 64 * 1024 * 1024
    let written = 0
    const server = await started(
      httpServer((_request, response) => {
        response.writeHead(200, { 'content-length': total })
        const chunk = Buffer.alloc(1024 * 1024)
        const pump = () => {
          while (written < total) {
            written += chunk.length
            if (!response.write(chunk)) {
              response.once('drain', pump)
              return
            }
          }
          response.end()
        }
        pump()
      }),
    )
    const sink = new RecordingSink()
    sink.isSlow = true
    const { result } = gateway(server).send({ sink })
    await waitFor(() => sink.isWaiting)
    const before = sink.chunks.length
    await new Promise((resolve) => setImmediate(resolve))
    expect(sink.chunks.length).toBe(before)
    expect(written).toBeLessThan(total)
    sink.isSlow = false
    sink.drain()
    expect(await result).toMatchObject({ outcome: 'ok', bytesReceived: total })
  })

  test('a client that reads nothing for the idle limit is cut off', async () => {
    const server = await started(httpServer((_request, response) => response.end('x'.repeat(2_000_000))))
    const sink = new RecordingSink()
    sink.isSlow = true
    const { upstreams, send } = gateway(server, {
      timeouts: { connectMs: 1000, headersMs: 1000, idleMs: 50, totalMs: 0, perTryMs: 0 },
    })
    expect(await send({ sink }).result).toMatchObject({ outcome: 'client_timeout' })
    expect(sink.wasAborted).toBe(true)
    expectIdle(upstreams)
  })
})

describe('a request body', () => {
  test('is streamed with its length, or chunked without one', async () => {
    const seen: (string | undefined)[] = []
    const server = await started(
      httpServer((request, response) => {
        seen.push(request.headers['content-length'], request.headers['transfer-encoding'])
        request.pipe(response)
      }),
    )
    const { send } = gateway(server)
    const stream = () => Readable.from([Buffer.from('he'), Buffer.from('llo')])
    const known = send({ method: 'POST', body: { kind: 'stream', stream: stream(), length: 5 } })
    expect(await known.result).toMatchObject({ outcome: 'ok', bytesSent: 5 })
    const unknown = send({ method: 'POST', body: { kind: 'stream', stream: stream(), length: undefined } })
    expect((await unknown.result).outcome).toBe('ok')
    expect([known.sink.body, unknown.sink.body]).toEqual(['hello', 'hello'])
    expect(seen).toEqual(['5', undefined, undefined, 'chunked'])
  })

  test('is not destroyed by an early answer, so that the client can be told', async () => {
    const server = await started(
      rawServer((socket) => socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig')),
    )
    const stream = new PassThrough()
    stream.write('start')
    const { sink, result } = gateway(server).send({
      method: 'POST',
      body: { kind: 'stream', stream, length: 1_000_000 },
    })
    expect((await result).outcome).toBe('ok')
    expect([sink.status, sink.body]).toEqual([413, 'big'])
    expect(stream.destroyed).toBe(false)
    expect(stream.listenerCount('data')).toBe(0)
  })

  test('is paused while the instance does not read', async () => {
    const server = await started(httpServer((request) => request.pause()))
    const stop = new AbortController()
    const stream = new PassThrough()
    const { result } = gateway(server).send({
      method: 'POST',
      signal: stop.signal,
      body: { kind: 'stream', stream, length: undefined },
    })
    const chunk = Buffer.alloc(256 * 1024)
    let sent = 0
    await waitFor(() => {
      for (let i = 0; i < 64 && stream.writableLength < 4 * chunk.length; i++) {
        stream.write(chunk)
        sent += chunk.length
      }
      return stream.isPaused()
    })
    expect(sent).toBeLessThan(64 * 1024 * 1024)
    stop.abort()
    expect((await result).outcome).toBe('client_gone')
  })

  test('that stops coming ends with a client timeout', async () => {
    const server = await started(httpServer(() => {}))
    const stream = new PassThrough()
    stream.write('a')
    const { upstreams, send } = gateway(server, {
      timeouts: { connectMs: 1000, headersMs: 1000, idleMs: 50, totalMs: 0, perTryMs: 0 },
    })
    expect(await send({ method: 'POST', body: { kind: 'stream', stream, length: 10 } }).result).toMatchObject(
      {
        outcome: 'client_timeout',
        refuse: { code: 'GW_REQUEST_TIMEOUT' },
      },
    )
    expectIdle(upstreams)
  })
})

describe('an end before the end', () => {
  test('a client that leaves cancels the upstream request', async () => {
    let closed = false
    let arrived = false
    const server = await started(
      httpServer((_request, response: ServerResponse) => {
        arrived = true
        response.on('close', () => {
          closed = true
        })
      }),
    )
    const stop = new AbortController()
    const { upstreams, send } = gateway(server)
    const { sink, result } = send({ signal: stop.signal })
    await waitFor(() => arrived)
    stop.abort()
    expect(await result).toMatchObject({ outcome: 'client_gone' })
    expect((await result).refuse).toBeUndefined()
    expect(sink.wasAborted).toBe(false)
    await waitFor(() => closed)
    expectIdle(upstreams)
  })

  test('a client that leaves while the answer streams aborts the sink and the upstream', async () => {
    const server = await started(httpServer((_request, response) => void response.write('first')))
    const stop = new AbortController()
    const { upstreams, send } = gateway(server)
    const { sink, result } = send({ signal: stop.signal })
    await once(sink, 'chunk')
    stop.abort()
    expect((await result).outcome).toBe('client_gone')
    expect(sink.wasAborted).toBe(true)
    await waitFor(() => server.sockets.size === 0)
    expectIdle(upstreams)
  })

  test('a client that leaves while the connection is still being made leaves no counter behind', async () => {
    const server = await started(httpServer((_request, response) => response.end()))
    const stop = new AbortController()
    const { upstreams, send } = gateway(server)
    const { result } = send({ signal: stop.signal })
    stop.abort()
    expect((await result).outcome).toBe('client_gone')
    expectIdle(upstreams)
    expect((await send().result).outcome).toBe('ok')
  })

  test.each([
    ['a reset', (response: ServerResponse) => response.socket?.resetAndDestroy(), 'reset'],
    ['a close', (response: ServerResponse) => response.socket?.destroy(), 'reset'],
  ])('%s in the body is never a complete answer', async (_name, breakOff, outcome) => {
    const server = await started(
      httpServer((_request, response) => {
        response.writeHead(200, { 'content-length': '100' })
        response.write('half', () => setImmediate(() => breakOff(response)))
      }),
    )
    const { upstreams, send } = gateway(server)
    const { sink, result } = send()
    expect(await result).toMatchObject({ outcome })
    expect(sink.wasAborted).toBe(true)
    expect(sink.hasEnded).toBe(false)
    expect((await result).refuse).toBeUndefined()
    expectIdle(upstreams)
  })

  test('a chunked body without its end is never a complete answer', async () => {
    const server = await started(
      rawServer((socket) => {
        socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n')
      }),
    )
    const { sink, result } = gateway(server).send()
    expect((await result).outcome).not.toBe('ok')
    expect([sink.wasAborted, sink.hasEnded]).toEqual([true, false])
  })

  test('silence in the body ends with idle_timeout', async () => {
    const server = await started(httpServer((_request, response) => void response.write('first')))
    const { upstreams, send } = gateway(server, {
      timeouts: { connectMs: 1000, headersMs: 1000, idleMs: 60, totalMs: 0, perTryMs: 0 },
    })
    const { sink, result } = send()
    expect((await result).outcome).toBe('idle_timeout')
    expect(sink.wasAborted).toBe(true)
    expectIdle(upstreams)
  })

  test('the whole deadline ends a streaming answer', async () => {
    const server = await started(httpServer((_request, response) => void response.write('first')))
    const { upstreams, send } = gateway(server, {
      timeouts: { connectMs: 1000, headersMs: 1000, idleMs: 0, totalMs: 80, perTryMs: 0 },
    })
    const { sink, result } = send()
    expect((await result).outcome).toBe('deadline')
    expect(sink.wasAborted).toBe(true)
    expectIdle(upstreams)
  })

  test('an outbound filter that throws becomes a local error', async () => {
    const server = await started(httpServer((_request, response) => response.end('x')))
    const sink = new RecordingSink()
    sink.head = async () => Promise.reject(new RangeError('filter'))
    const { upstreams, send } = gateway(server)
    expect(await send({ sink }).result).toMatchObject({
      outcome: 'internal',
      refuse: { code: 'GW_GATEWAY_INTERNAL' },
    })
    expectIdle(upstreams)
  })
})
