import { beforeEach, describe, expect, test } from 'vitest'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import type { RunningProxy } from '../support/proxy.ts'
import { parseAnswers, rawClient } from '../support/raw.ts'
import { rawServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'
import { type WireTap, wireTap } from '../support/wire.ts'

const { opened, proxy } = useCleanups()
let tap: WireTap
let gateway: RunningProxy

beforeEach(async () => {
  tap = await opened(wireTap())
  gateway = await proxy(oneRoute([tap.port]))
})

const HIDDEN = 'GET /hidden HTTP/1.1\r\nHost: a.example\r\n\r\n'

/** Sends an attack and gives everything time to settle: the connection ends, or all requests are recorded. */
async function attack(bytes: string) {
  const client = rawClient(gateway.port)
  client.send(Buffer.from(bytes, 'latin1'))
  await waitFor(() => client.isClosed() || client.text().includes('HTTP/1.1'))
  // A probe on the same connection: what is left over of the attack would swallow or answer it.
  client.send('GET /probe HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n')
  await client.closed()
  client.socket.destroy()
  return parseAnswers(client.text(), true).map(({ status }) => status)
}

function post(fields: string, body = ''): string {
  return `POST /public HTTP/1.1\r\nHost: a.example\r\n${fields}\r\n${body}`
}

describe('framing that can be read in two ways is refused, the connection closed', () => {
  test.each([
    [
      'Content-Length beside Transfer-Encoding',
      post('Content-Length: 6\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${HIDDEN}`),
    ],
    [
      'Transfer-Encoding beside Content-Length',
      post('Transfer-Encoding: chunked\r\nContent-Length: 60\r\n', `0\r\n\r\n${HIDDEN}`),
    ],
    ['two different lengths', post('Content-Length: 0\r\nContent-Length: 44\r\n', HIDDEN)],
    ['two equal lengths', post('Content-Length: 5\r\nContent-Length: 5\r\n', 'hello')],
    ['a list of lengths', post('Content-Length: 5, 5\r\n', 'hello')],
    ['a signed length', post('Content-Length: +5\r\n', 'hello')],
    ['a negative length', post('Content-Length: -1\r\n', HIDDEN)],
    ['a hexadecimal length', post('Content-Length: 0x5\r\n', 'hello')],
    ['a length with letters', post('Content-Length: 5a\r\n', 'hello')],
    ['an empty length', post('Content-Length:\r\n', HIDDEN)],
    ['a length beyond any number', post('Content-Length: 99999999999999999999999\r\n', 'hello')],
    ['another coding', post('Transfer-Encoding: xchunked\r\n', `0\r\n\r\n${HIDDEN}`)],
    ['identity', post('Transfer-Encoding: identity\r\n', HIDDEN)],
    ['chunked, then identity', post('Transfer-Encoding: chunked, identity\r\n', `0\r\n\r\n${HIDDEN}`)],
    ['gzip, then chunked', post('Transfer-Encoding: gzip, chunked\r\n', `0\r\n\r\n${HIDDEN}`)],
    ['chunked twice', post('Transfer-Encoding: chunked, chunked\r\n', `0\r\n\r\n${HIDDEN}`)],
    ['two fields', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n', `0\r\n\r\n${HIDDEN}`)],
    [
      'two equal fields',
      post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${HIDDEN}`),
    ],
    ['quotes', post('Transfer-Encoding: "chunked"\r\n', `0\r\n\r\n${HIDDEN}`)],
    ['a vertical tab', post('Transfer-Encoding: \x0bchunked\r\n', `0\r\n\r\n${HIDDEN}`)],
    ['a NUL', post('Transfer-Encoding: chunked\x00\r\n', `0\r\n\r\n${HIDDEN}`)],
    ['a space before the colon', post('Transfer-Encoding : chunked\r\n', `0\r\n\r\n${HIDDEN}`)],
    ['a length with a space before the colon', post('Content-Length : 5\r\n', 'hello')],
    ['a folded field', post('Transfer-Encoding:\r\n chunked\r\n', `0\r\n\r\n${HIDDEN}`)],
    ['a folded value', post('X-A: b\r\n Transfer-Encoding: chunked\r\n', HIDDEN)],
    ['a field that begins with a space', `POST /public HTTP/1.1\r\n Host: a.example\r\n\r\n${HIDDEN}`],
    ['a bare LF after a field', post('X-A: b\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${HIDDEN}`)],
    ['bare LFs everywhere', 'POST /public HTTP/1.1\nHost: a.example\nContent-Length: 5\n\nhello'],
    ['a bare CR in a value', post('X-A: b\rTransfer-Encoding: chunked\r\n', `0\r\n\r\n${HIDDEN}`)],
    ['no field name', post(': chunked\r\n', HIDDEN)],
    ['a NUL in a name', post('X\x00A: b\r\n', HIDDEN)],
    [
      'HTTP/1.0 with chunks',
      `POST /public HTTP/1.0\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n${HIDDEN}`,
    ],
    ['another version', 'GET /public HTTP/2.0\r\nHost: a.example\r\n\r\n'],
    ['HTTP/0.9', 'GET /public\r\n\r\n'],
    ['tabs in the request line', 'GET\t/public\tHTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['words after the version', 'GET /public HTTP/1.1 x\r\nHost: a.example\r\n\r\n'],
  ])('%s', async (_name, bytes) => {
    const statuses = await attack(bytes)
    expect(statuses).toEqual([400])
    expect(tap.seen()).toBe('')
  })
})

describe('chunks that can be read in two ways never become a second request', () => {
  const chunked = (body: string) => post('Transfer-Encoding: chunked\r\n', body)

  test.each([
    ['a hexadecimal prefix', `0x5\r\nhello\r\n0\r\n\r\n${HIDDEN}`],
    ['a sign', `+5\r\nhello\r\n0\r\n\r\n${HIDDEN}`],
    ['a minus', `-1\r\nhello\r\n0\r\n\r\n${HIDDEN}`],
    ['no size', `\r\nhello\r\n0\r\n\r\n${HIDDEN}`],
    ['a size beyond any number', `FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n${HIDDEN}`],
    ['a bare LF after the size', `5\nhello\r\n0\r\n\r\n${HIDDEN}`],
    ['a bare LF in an extension', `5;a\nhello\r\n0\r\n\r\n${HIDDEN}`],
    ['a bare CR in an extension', `5;a\rb\r\nhello\r\n0\r\n\r\n${HIDDEN}`],
    ['more bytes than announced', `5\r\nhelloXX\r\n0\r\n\r\n${HIDDEN}`],
    ['a bare LF after the data', `5\r\nhello\n0\r\n\r\n${HIDDEN}`],
    ['a length as a trailer', `5\r\nhello\r\n0\r\nContent-Length: 60\r\n\r\n${HIDDEN}`],
    ['a space before the size', ` 5\r\nhello\r\n0\r\n\r\n${HIDDEN}`],
  ])('%s', async (_name, body) => {
    const statuses = await attack(chunked(body))
    expect(statuses.filter((status) => status === 200)).toHaveLength(statuses[0] === 200 ? 1 : 0)
    expect(tap.requestLines().filter((line) => !line.includes('/public'))).toEqual([])
  })

  test('extensions and trailers that are well formed end here', async () => {
    const client = rawClient(gateway.port)
    client.send(chunked('5;a="b"\r\nhello\r\n0\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n'))
    expect((await client.answers(1))[0]?.status).toBe(200)
    expect(tap.seen()).not.toMatch(/a="b|6\.6\.6\.6/)
    client.socket.destroy()
  })
})

describe('what is well framed stays one request', () => {
  test('a request as the body of another', async () => {
    const client = rawClient(gateway.port)
    client.send(post(`Content-Length: ${HIDDEN.length}\r\n`, HIDDEN))
    await client.answers(1)
    expect(gateway.records.map(({ path }) => path)).toEqual(['/public'])
    expect(tap.seen()).toMatch(new RegExp(`content-length: ${HIDDEN.length}\r\n`, 'i'))
    client.socket.destroy()
  })

  test.each(['GET', 'HEAD', 'DELETE', 'OPTIONS'])('a body on %s is framed', async (method) => {
    const client = rawClient(gateway.port)
    client.send(
      `${method} /public HTTP/1.1\r\nHost: a.example\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
    )
    await waitFor(() => gateway.records.length === 1)
    expect(gateway.records.map(({ path }) => path)).toEqual(['/public'])
    expect(tap.seen()).toMatch(new RegExp(`content-length: ${HIDDEN.length}\r\n`, 'i'))
    client.socket.destroy()
  })

  test.each(['HTTP/0.9', 'HTTP/1.2', 'HTTP/3.0'])('%s is no version of ours', async (version) => {
    const client = rawClient(gateway.port)
    client.send(`GET /public ${version}\r\nHost: a.example\r\n\r\n`)
    expect((await client.answers(1))[0]?.status).toBe(400)
    expect(tap.seen()).toBe('')
    client.socket.destroy()
  })

  test('the rest of a body that was refused is no request', async () => {
    await gateway.swap(oneRoute([tap.port], { route: 'maxBody: 10B' }))
    const client = rawClient(gateway.port)
    client.send(post(`Content-Length: ${HIDDEN.length}\r\n`, HIDDEN))
    await client.closed()
    expect(parseAnswers(client.text(), true).map(({ status }) => status)).toEqual([413])
    expect(tap.seen()).toBe('')
    client.socket.destroy()
  })

  test('an answer of the service with two framings does not reach the next client', async () => {
    const evil = await opened(
      rawServer((socket) =>
        socket.write(
          'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil',
        ),
      ),
    )
    const behind = await proxy(oneRoute([evil.port], { service: 'retries: { attempts: 0 }' }))
    for (let i = 0; i < 3; i++) {
      const response = await fetch(behind.url).catch(() => undefined)
      expect(await response?.text().catch(() => '')).not.toBe('evil')
    }
  })
})
