import { once } from 'node:events'
import { buffer } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { z } from 'zod'
import {
  type BodyNeed,
  defineFilter,
  type Ending,
  type FilterContext,
  type FilterHandlers,
} from '../../src/filters/filter.ts'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { rawClient, rawExchange } from '../support/raw.ts'
import { httpServer, rawServer, type Scripted } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const { opened, proxy, later } = useCleanups()

/** A filter of the test under the name `probe`. */
const probe = (handlers: FilterHandlers) =>
  defineFilter({ name: 'probe', summary: '', options: z.strictObject({}), create: () => handlers })

async function behind(
  server: Scripted,
  handlers: FilterHandlers,
  own: { filters?: string; route?: string } = {},
) {
  const filters = own.filters ?? '{ type: probe }'
  const yaml = oneRoute([server.port], { route: `filters: [${filters}]\n${own.route ?? ''}` })
  return proxy({ yaml, definitions: [probe(handlers)] })
}

const ok = () => httpServer((_request, response) => void response.end('ok'))
const GET = 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n'

describe('the end of a request is told once', () => {
  function counting(own: FilterHandlers = {}) {
    const [entered, ended]: [FilterContext[], [FilterContext, Ending][]] = [[], []]
    const handlers: FilterHandlers = {
      ...own,
      inbound(ctx) {
        entered.push(ctx)
        return own.inbound?.(ctx)
      },
      done: (ctx, ending) => void ended.push([ctx, ending]),
    }
    const endings = async (count: number) => {
      await waitFor(() => ended.length >= count)
      expect(ended.map(([ctx]) => ctx)).toEqual(entered)
      return ended.map(([, { outcome, status }]) => `${outcome} ${status}`)
    }
    return { handlers, endings, entered }
  }

  test('answered', async () => {
    const { handlers, endings } = counting()
    const gateway = await behind(await opened(ok()), handlers)
    await rawExchange(gateway.port, GET)
    expect(await endings(1)).toEqual(['ok 200'])
  })

  test('refused by this filter, by a later one, or before by neither', async () => {
    const { handlers, endings } = counting()
    const gateway = await behind(await opened(ok()), handlers, {
      filters: '{ type: probe }, { type: ip-allow, networks: [192.0.2.0/24] }',
    })
    await rawExchange(gateway.port, GET)
    expect(await endings(1)).toEqual(['filter_refused 403'])
    const refusing = counting({ inbound: () => ({ status: 429 }) })
    const second = await behind(await opened(ok()), refusing.handlers)
    await rawExchange(second.port, GET)
    expect(await refusing.endings(1)).toEqual(['filter_refused 429'])
    const never = counting()
    const third = await behind(await opened(ok()), never.handlers, {
      filters: '{ type: ip-allow, networks: [192.0.2.0/24] }, { type: probe }',
    })
    await rawExchange(third.port, GET)
    await third.record()
    expect(never.entered).toEqual([])
  })

  test('failed upstream, with the tries counted', async () => {
    const { handlers, endings } = counting()
    const server = await opened(rawServer((socket) => socket.destroy()))
    const gateway = await behind(server, handlers)
    await rawExchange(gateway.port, GET)
    expect(await endings(1)).toEqual(['reset 502'])
  })

  test('the filter itself failed', async () => {
    const { handlers, endings } = counting({ inbound: () => Promise.reject(new TypeError('boom')) })
    const gateway = await behind(await opened(ok()), handlers)
    await rawExchange(gateway.port, GET)
    expect(await endings(1)).toEqual(['filter_error 500'])
  })

  test('the client leaves during the answer', async () => {
    const { handlers, endings } = counting()
    const server = await opened(httpServer((_request, response) => void response.write('half')))
    const gateway = await behind(server, handlers)
    const client = rawClient(gateway.port)
    client.send(GET)
    await waitFor(() => client.text().includes('half'))
    client.socket.destroy()
    expect(await endings(1)).toEqual(['client_gone 499'])
  })

  test('the client leaves while the filter waits: at once, and nothing goes upstream when it settles', async () => {
    let settle: () => void = () => {}
    const waiting = new Promise<undefined>((resolve) => {
      settle = () => resolve(undefined)
    })
    const { handlers, endings, entered } = counting({ inbound: () => waiting })
    const server = await opened(ok())
    const gateway = await behind(server, handlers)
    const client = rawClient(gateway.port)
    client.send(GET)
    await waitFor(() => entered.length === 1)
    client.socket.destroy()
    expect(await endings(1)).toEqual(['client_gone 499'])
    settle()
    await new Promise(setImmediate)
    expect(gateway.records).toHaveLength(1)
    expect(server.connections()).toBe(0)
  })

  test('a tunnel: when it is over, and when the client leaves before it is open', async () => {
    const wss = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    await once(wss, 'listening')
    later(() => wss.close())
    const { handlers, endings, entered } = counting()
    const { port } = wss.address() as { port: number }
    const gateway = await proxy({
      yaml: oneRoute([port], { route: 'filters: [{ type: probe }]' }),
      definitions: [probe(handlers)],
    })
    const socket = new WebSocket(gateway.url.replace('http', 'ws'))
    await once(socket, 'open')
    expect(entered).toHaveLength(1)
    expect(gateway.records).toHaveLength(0)
    socket.terminate()
    expect(await endings(1)).toEqual(['ok 101'])

    const held = counting({ inbound: () => new Promise(() => {}) })
    const second = await proxy({
      yaml: oneRoute([port], { route: 'filters: [{ type: probe }]' }),
      definitions: [probe(held.handlers)],
    })
    const early = new WebSocket(second.url.replace('http', 'ws'))
    early.on('error', () => {})
    await waitFor(() => held.entered.length === 1)
    early.terminate()
    expect(await held.endings(1)).toEqual(['client_gone 499'])
  })
})

describe('a body on demand', () => {
  const echo = () =>
    httpServer(async (request, response) => {
      const body = await buffer(request)
      response.setHeader('x-length', request.headers['content-length'] ?? 'chunked')
      response.end(String(body.length))
    })

  function looking(needsBody: BodyNeed) {
    const seen: [number | undefined, boolean][] = []
    const handlers: FilterHandlers = {
      needsBody,
      inbound(ctx) {
        seen.push([ctx.body?.length, ctx.isBodyWhole])
        return undefined
      },
    }
    return { seen, handlers }
  }
  const post = (bytes: number, isChunked = false) => {
    const body = 'x'.repeat(bytes)
    return isChunked
      ? `POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n${bytes.toString(16)}\r\n${body}\r\n0\r\n\r\n`
      : `POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: ${bytes}\r\n\r\n${body}`
  }

  test.each([false, true])('a small one is seen whole and goes on whole (chunked: %s)', async (isChunked) => {
    const { seen, handlers } = looking({ maxBytes: 100, whenLarger: 'refuse' })
    const gateway = await behind(await opened(echo()), handlers)
    expect((await rawExchange(gateway.port, post(100, isChunked))).body).toBe('100')
    expect(seen).toEqual([[100, true]])
  })

  test.each([false, true])('a large one is refused (chunked: %s)', async (isChunked) => {
    const { seen, handlers } = looking({ maxBytes: 100, whenLarger: 'refuse' })
    const server = await opened(echo())
    const gateway = await behind(server, handlers)
    expect((await rawExchange(gateway.port, post(101, isChunked))).status).toBe(413)
    expect([seen, server.connections()]).toEqual([[], 0])
    expect(await gateway.record()).toMatchObject({ outcome: 'body_too_large' })
  })

  test.each([false, true])(
    'or its beginning is seen, and all of it streams on (chunked: %s)',
    async (isChunked) => {
      const { seen, handlers } = looking({ maxBytes: 100, whenLarger: 'prefix' })
      const gateway = await behind(await opened(echo()), handlers)
      const size = 3_000_000
      expect((await rawExchange(gateway.port, post(size, isChunked))).body).toBe(String(size))
      const [[bytes = 0, isWhole] = []] = seen
      expect(isWhole).toBe(false)
      expect(bytes).toBeGreaterThan(100)
      expect(bytes).toBeLessThan(200_000)
    },
  )

  test('filters in front of it may refuse before the client has sent anything', async () => {
    const { seen, handlers } = looking({ maxBytes: 100, whenLarger: 'refuse' })
    const gateway = await behind(await opened(echo()), handlers, {
      filters: '{ type: ip-allow, networks: [192.0.2.0/24] }, { type: probe }',
    })
    const client = rawClient(gateway.port)
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n')
    await waitFor(() => client.text().includes('HTTP/1.1 403'))
    expect(client.text()).not.toContain('100 Continue')
    expect(seen).toEqual([])
    client.socket.destroy()
  })

  test('the limit of the route still holds', async () => {
    const { handlers } = looking({ maxBytes: 1000, whenLarger: 'prefix' })
    const gateway = await behind(await opened(echo()), handlers, { route: 'maxBody: 50B' })
    expect((await rawExchange(gateway.port, post(51, true))).status).toBe(413)
    expect((await rawExchange(gateway.port, post(50, true))).body).toBe('50')
  })
})

test('a header that a filter owns is taken from every request, in every spelling', async () => {
  const server = await opened(
    httpServer((request, response) => void response.end(JSON.stringify(request.headers))),
  )
  const yaml = `${oneRoute([server.port], { route: 'filters: [{ type: probe }]' })}
  - { name: open, match: { pathPrefix: /open }, service: shop }`
  const gateway = await proxy({ yaml, definitions: [probe({ ownsHeaders: ['x-user-id'] })] })
  for (const path of ['/', '/open']) {
    const answer = await rawExchange(
      gateway.port,
      `GET ${path} HTTP/1.1\r\nHost: a\r\nX-User-Id: root\r\nX_User_Id: root\r\nx-user_id: root\r\nX-Other: 1\r\n\r\n`,
    )
    const headers = Object.keys(JSON.parse(answer.body) as object)
    expect(headers).toContain('x-other')
    expect(headers.filter((name) => name.includes('user'))).toEqual([])
  }
})

test('a filter that cannot get ready keeps the new table out', async () => {
  const gateway = await behind(await opened(ok()), {})
  const server = await opened(ok())
  let isBroken = true
  const second = await proxy({
    yaml: oneRoute([server.port]),
    definitions: [
      probe({
        prepare: async () => {
          if (isBroken) throw new TypeError('not yet')
        },
      }),
    ],
  })
  const yaml = oneRoute([server.port], { route: 'filters: [{ type: probe }]' })
  await expect(second.swap(yaml)).rejects.toThrowError(/filter probe: not yet/)
  expect((await rawExchange(second.port, GET)).status).toBe(200)
  isBroken = false
  await second.swap(yaml)
  expect((await rawExchange(gateway.port, GET)).status).toBe(200)
})

test('a dry run refuses nothing and stands in the record', async () => {
  const gateway = await behind(
    await opened(ok()),
    {},
    {
      filters: '{ type: ip-allow, networks: [192.0.2.0/24], mode: dryRun }',
    },
  )
  expect((await rawExchange(gateway.port, GET)).status).toBe(200)
  expect(await gateway.record()).toMatchObject({ wouldRefuse: ['ip-allow'], refusedBy: undefined })
})
