import { once } from 'node:events'
import { type ClientHttp2Session, connect, constants, type OutgoingHttpHeaders } from 'node:http2'
import { beforeEach, describe, expect, test } from 'vitest'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import type { RunningProxy } from '../support/proxy.ts'
import { tlsFiles } from '../support/tls-files.ts'
import { waitFor } from '../support/wait.ts'
import { type WireTap, wireTap } from '../support/wire.ts'

const { opened, proxy, later } = useCleanups()
let tap: WireTap
let gateway: RunningProxy
let session: ClientHttp2Session

beforeEach(async () => {
  tap = await opened(wireTap())
  const files = await opened(tlsFiles('a.example'))
  gateway = await proxy({ yaml: oneRoute([tap.port]), tls: { pairs: [files] } })
  session = connect(`https://127.0.0.1:${gateway.port}`, { ca: files.ca, servername: 'a.example' })
  later(() => session.destroy())
  session.on('error', () => {})
})

/** Status of the answer, or 0 when the stream was reset. */
async function send(fields: OutgoingHttpHeaders, body?: string): Promise<number> {
  const all = { ':path': '/', ':authority': 'a.example', ...fields }
  const stream = session.request(all, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  stream.on('error', () => {})
  let status = 0
  stream.on('response', (headers) => {
    status = Number(headers[':status'])
  })
  stream.resume()
  await new Promise((resolve) => stream.on('close', resolve))
  return status
}

describe('HTTP/2 turned into HTTP/1.1', () => {
  test.each([
    [
      'more body than declared',
      { ':method': 'POST', 'content-length': 2 },
      `hiGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n`,
    ],
    ['less body than declared', { ':method': 'POST', 'content-length': 20 }, 'hi'],
  ])('%s never becomes a second request', async (_name, fields, body) => {
    expect(await send(fields, body)).not.toBe(200)
    expect(tap.requestLines().filter((line) => line.includes('hidden'))).toEqual([])
  })

  test.each(['/a b', '/a\tb', '/a\\b', '/a#b', 'a', '/../admin', '/%00'])('path %j', async (path) => {
    const status = await send({ ':path': path })
    expect([0, 400]).toContain(status)
    expect(tap.seen()).toBe('')
  })

  test.each(['a.example@b.example', 'a.example/x', 'a.example:x', 'a example'])(
    'authority %j',
    async (authority) => {
      expect([0, 400]).toContain(await send({ ':authority': authority }))
      expect(tap.seen()).toBe('')
    },
  )

  test(':authority wins over Host, and the service is told only that', async () => {
    expect(await send({ host: 'b.example' })).toBe(200)
    expect(tap.seen()).not.toContain('b.example')
  })

  test('forwarding fields of a stranger are replaced', async () => {
    await send({ 'x-forwarded-for': '6.6.6.6', forwarded: 'for=6.6.6.6', 'x-forwarded-proto': 'http' })
    expect(tap.seen()).not.toContain('6.6.6.6')
    expect(tap.seen()).toMatch(/x-forwarded-proto: https\r\n/i)
  })

  test('TRACE and CONNECT are refused', async () => {
    expect(await send({ ':method': 'TRACE' })).toBe(405)
    expect(tap.seen()).toBe('')
  })
})

describe('floods', () => {
  test('streams that are opened and reset at once do not pile up', async () => {
    await send({})
    for (let i = 0; i < 2000 && !session.destroyed; i++) {
      const stream = session.request({ ':path': '/', ':authority': 'a.example' })
      stream.on('error', () => {})
      stream.close(constants.NGHTTP2_CANCEL)
    }
    await waitFor(() => gateway.upstreams.stats().every((one) => one.inFlight === 0))
    const files = await opened(tlsFiles('a.example'))
    const other = connect(gateway.url, { rejectUnauthorized: false, ca: files.ca, servername: 'a.example' })
    later(() => other.destroy())
    const stream = other.request({ ':path': '/', ':authority': 'a.example' })
    const [headers] = await once(stream, 'response')
    expect(headers[':status']).toBe(200)
  })

  test('too many and too large headers: 431', async () => {
    const many = Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`x-${i}`, 'a']))
    expect([0, 431]).toContain(await send(many))
    expect([0, 431]).toContain(await send({ 'x-a': 'a'.repeat(30_000) }))
    expect(tap.seen()).toBe('')
  })
})
