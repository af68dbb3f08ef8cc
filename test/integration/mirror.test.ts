import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import type { RegistryState } from '../../src/core/types.ts'
import { useCleanups } from '../support/cleanup.ts'
import { anInstance } from '../support/exchange.ts'
import type { RunningProxy } from '../support/proxy.ts'
import { rawClient } from '../support/raw.ts'
import { httpServer, rawServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const { opened, proxy } = useCleanups()

interface Got {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** Keeps what it got; answers with what `answer` gives. */
async function service(answer: (got: Got) => object | string = () => 'ok') {
  const got: Got[] = []
  const server = await opened(
    httpServer(async (request, response) => {
      const chunks: Buffer[] = []
      try {
        for await (const chunk of request) chunks.push(chunk as Buffer)
      } catch {
        return
      }
      const { method = '', url = '', headers } = request
      const one = { method, url, headers, body: Buffer.concat(chunks).toString() }
      got.push(one)
      const content = answer(one)
      if (typeof content === 'string') response.end(content)
      else response.setHeader('content-type', 'application/json').end(JSON.stringify(content))
    }),
  )
  return { port: server.port, got }
}

const yamlOf = (primary: number, mirror: number, options: string) => `
services:
  shop: { upstreams: ["http://127.0.0.1:${primary}"] }
  next: { upstreams: ["http://127.0.0.1:${mirror}"], timeouts: { connect: 300ms } }
routes:
  - name: shop
    match: { pathPrefix: / }
    service: shop
    mirror: { service: next, ${options} }
`

const mirrorOf = (gateway: RunningProxy) => gateway.mirrors.view()[0]
const counted = (gateway: RunningProxy, text: string) =>
  waitFor(() => gateway.counted.includes(text), { what: text })
const isIdle = (gateway: RunningProxy) => waitFor(() => gateway.mirrors.inFlight === 0)

describe('copies', () => {
  test('a GET is copied under another host name; its answer reaches nobody', async () => {
    const [primary, mirror] = [await service(() => 'primary'), await service(() => 'mirror')]
    const gateway = await proxy(yamlOf(primary.port, mirror.port, 'timeout: 2s'))
    const client = rawClient(gateway.port)
    client.send('GET /a?b=1 HTTP/1.1\r\nHost: shop.example.com:8080\r\nX-Own: 7\r\n\r\n')
    await waitFor(() => client.text().includes('primary'))
    await counted(gateway, 'mirror shop ok')
    client.socket.destroy()
    expect(mirror.got).toMatchObject([
      {
        method: 'GET',
        url: '/a?b=1',
        headers: { host: 'shop.example.com-shadow:8080', 'x-own': '7', 'x-sluice-mirror': 'shop' },
      },
    ])
    expect(primary.got[0]?.headers['x-sluice-mirror']).toBeUndefined()
    const [ours, theirs] = [primary.got[0]?.headers['traceparent'], mirror.got[0]?.headers['traceparent']]
    expect(String(theirs).slice(0, 36)).toBe(String(ours).slice(0, 36))
    expect(theirs).not.toBe(ours)
    expect(gateway.records).toHaveLength(1)
    const counts = gateway.upstreams.stats().map(({ service: name, requests }) => [name, requests])
    expect(counts).toEqual([
      ['shop', 1],
      ['next', 0],
    ])
  })

  test('a POST is not copied unless it is asked for, and a copy is not copied again', async () => {
    const [primary, mirror] = [await service(), await service()]
    const gateway = await proxy(
      `trustedProxies: [127.0.0.1]${yamlOf(primary.port, mirror.port, 'timeout: 2s')}`,
    )
    await fetch(gateway.url, { method: 'POST', body: 'x' })
    await fetch(gateway.url, { headers: { 'x-sluice-mirror': 'outer' } })
    await fetch(gateway.url)
    await counted(gateway, 'mirror shop ok')
    expect(mirror.got.map(({ method }) => method)).toEqual(['GET'])
    expect(primary.got).toHaveLength(3)
  })

  test('a share of the requests is copied', async () => {
    const [primary, mirror] = [await service(), await service()]
    let seed = 7
    const random = () => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
      return seed / 2 ** 31
    }
    const gateway = await proxy({ yaml: yamlOf(primary.port, mirror.port, 'percent: 25'), random })
    for (let i = 0; i < 100; i++) await fetch(gateway.url)
    await isIdle(gateway)
    expect(mirror.got.length).toBeGreaterThan(10)
    expect(mirror.got.length).toBeLessThan(40)
  })

  test('a body is copied byte for byte, declared or chunked; a larger one goes to the primary alone', async () => {
    const [primary, mirror] = [await service(({ body }) => `${body.length}`), await service()]
    const gateway = await proxy(yamlOf(primary.port, mirror.port, 'methods: [POST], maxBody: 10KiB'))
    const send = async (body: string, isChunked: boolean) => {
      const stream = new Blob([body]).stream()
      const init = { method: 'POST', body: isChunked ? stream : body, duplex: 'half' } as RequestInit
      return (await fetch(gateway.url, init)).text()
    }
    const small = 'abcdefghij'.repeat(1024)
    for (const isChunked of [false, true]) {
      expect(await send(small, isChunked)).toBe('10240')
      expect(await send(`${small}!`, isChunked)).toBe('10241')
    }
    await isIdle(gateway)
    await waitFor(() => gateway.counted.length === 4)
    expect(gateway.counted.toSorted()).toEqual([
      'mirror shop ok',
      'mirror shop ok',
      'mirror shop too_large',
      'mirror shop too_large',
    ])
    expect(mirror.got.map(({ body }) => body === small)).toEqual([true, true])
  })

  test('a version of the same service gets copies; its instances alone', async () => {
    const [one, two] = [await service(() => 'one'), await service(() => 'two')]
    const instances = [
      anInstance('a', one.port, { version: '1' }),
      anInstance('b', two.port, { version: '2' }),
    ]
    const registry: RegistryState = {
      services: new Map([['shop', { name: 'shop', instances, source: 'live', lastGoodAt: 0 }]]),
      problems: [],
    }
    const gateway = await proxy({
      registry,
      yaml: `registries: { local: { type: embedded } }
services: { shop: { mirror: { version: "2" } } }
routes: [{ name: all, match: { pathPrefix: / }, service: shop }]`,
    })
    for (let i = 0; i < 5; i++) await fetch(gateway.url)
    await waitFor(() => gateway.counted.length === 5)
    expect(gateway.counted).toEqual(Array(5).fill('mirror service shop ok'))
    expect(two.got.filter(({ headers }) => headers['x-sluice-mirror'] === 'service shop')).toHaveLength(5)
    expect(one.got.filter(({ headers }) => headers['x-sluice-mirror'] !== undefined)).toEqual([])
    await gateway.swap(`services: { shop: { upstreams: ["http://127.0.0.1:${one.port}"], mirror: { version: "3" } } }
routes: [{ name: all, match: { pathPrefix: / }, service: shop }]`)
    await fetch(gateway.url)
    expect(gateway.counted.at(-1)).toBe('mirror service shop no_instance')
  })

  test('requests of a canary are not mirrored', async () => {
    const [one, two] = [await service(() => 'one'), await service(() => 'two')]
    const instances = [
      anInstance('a', one.port, { version: '1' }),
      anInstance('b', two.port, { version: '2' }),
    ]
    const gateway = await proxy({
      registry: {
        services: new Map([['shop', { name: 'shop', instances, source: 'live', lastGoodAt: 0 }]]),
        problems: [],
      },
      yaml: `registries: { local: { type: embedded } }
canaries: [{ name: next, service: shop, canary: { version: "2" }, match: [{ header: { x-me: canary }, side: canary }] }]
services: { shop: { mirror: { version: "2" } } }
routes: [{ name: all, match: { pathPrefix: / }, service: shop }]`,
    })
    expect(await (await fetch(gateway.url, { headers: { 'x-me': 'canary' } })).text()).toBe('two')
    expect(await (await fetch(gateway.url)).text()).toBe('one')
    await waitFor(() => gateway.counted.length === 1)
    expect(two.got.map(({ headers }) => headers['x-sluice-mirror'])).toEqual([undefined, 'service shop'])
  })
})

describe('the primary does not notice', () => {
  test('a mirror that never answers: clients are served, copies beyond the limit are dropped, the rest time out', async () => {
    const primary = await service(() => 'primary')
    const silent = await opened(rawServer(() => {}))
    const gateway = await proxy(yamlOf(primary.port, silent.port, 'timeout: 400ms, maxInFlight: 2'))
    const answers = await Promise.all(
      Array.from({ length: 10 }, async () => (await fetch(gateway.url)).text()),
    )
    expect(answers).toEqual(Array(10).fill('primary'))
    // All were answered while the first copies still wait.
    expect(gateway.counted.filter((text) => text.endsWith('timeout'))).toEqual([])
    await isIdle(gateway)
    const { results } = mirrorOf(gateway) ?? {}
    expect(results).toEqual({ dropped: 8, timeout: 2 })
    await waitFor(() => silent.sockets.size === 0)
  })

  test('a mirror that is not there: its instance is not ejected, nothing is logged as a failed request', async () => {
    const primary = await service(() => 'primary')
    const gone = await opened(rawServer(() => {}))
    await gone.close()
    const gateway = await proxy(yamlOf(primary.port, gone.port, 'timeout: 2s'))
    expect(await (await fetch(gateway.url)).text()).toBe('primary')
    await counted(gateway, 'mirror shop error')
    expect(gateway.upstreams.stats().map(({ ejectedForMs, failures }) => [ejectedForMs, failures])).toEqual([
      [0, 0],
      [0, 0],
    ])
    expect(gateway.records.map(({ outcome }) => outcome)).toEqual(['ok'])
  })

  test('a dead mirror is left alone, counted, and tried again by one copy; when it answers copies go on', async () => {
    const primary = await service(() => 'primary')
    let isDead = true
    let tried = 0
    const mirror = await opened(
      httpServer((_request, response) => {
        tried++
        if (isDead) response.destroy()
        else response.end('mirror')
      }),
    )
    const gateway = await proxy(yamlOf(primary.port, mirror.port, 'timeout: 2s'))
    const ask = async (count: number) => {
      for (let i = 0; i < count; i++) {
        expect(await (await fetch(gateway.url)).text()).toBe('primary')
        await isIdle(gateway)
      }
    }
    await ask(5)
    expect(tried).toBe(5)
    const before = mirrorOf(gateway)?.pausedMs ?? 0
    expect(before).toBeGreaterThan(0)
    expect(before).toBeLessThanOrEqual(1000)
    expect(gateway.warnings.filter((text) => text.startsWith('a mirror does not answer'))).toHaveLength(1)
    await waitFor(async () => {
      await ask(1)
      return tried > 5
    })
    // Its only try of this time, among everything that was asked.
    expect(tried).toBe(6)
    const { results, pausedMs } = mirrorOf(gateway) ?? {}
    expect(results).toMatchObject({ error: 6 })
    expect(results?.paused).toBeGreaterThan(0)
    expect(gateway.counted).toContain('mirror shop paused')
    expect(pausedMs).toBeGreaterThan(0)
    isDead = false
    await waitFor(async () => {
      await ask(1)
      return gateway.counted.includes('mirror shop ok')
    })
    expect(mirrorOf(gateway)).not.toHaveProperty('pausedMs')
    await ask(5)
    expect(mirrorOf(gateway)?.results.ok).toBe(6)
  })

  test('a new target, and a report that begins anew, are tried at once', async () => {
    const [primary, mirror] = [await service(() => 'primary'), await service()]
    const gone = await opened(rawServer(() => {}))
    await gone.close()
    const gateway = await proxy(yamlOf(primary.port, gone.port, ''))
    const fail = async () => {
      for (let i = 0; i < 5; i++) {
        await fetch(gateway.url)
        await isIdle(gateway)
      }
      expect(mirrorOf(gateway)?.pausedMs).toBeGreaterThan(0)
    }
    await fail()
    gateway.mirrors.reset('shop')
    expect(mirrorOf(gateway)).not.toHaveProperty('pausedMs')
    await fail()
    await gateway.swap(
      yamlOf(primary.port, gone.port, '')
        .replace('service: next,', 'service: other,')
        .replace('services:', `services:\n  other: { upstreams: ["http://127.0.0.1:${mirror.port}"] }`),
    )
    await fetch(gateway.url)
    await counted(gateway, 'mirror shop ok')
  })

  test('a mirror that answers without end is cut off', async () => {
    const primary = await service(() => 'primary')
    let sent = 0
    let isClosed = false
    const endless = await opened(
      httpServer((_request, response) => {
        const more = () => {
          while (!response.destroyed && response.write('x'.repeat(65_536))) sent += 65_536
        }
        response.on('drain', more).on('close', () => {
          isClosed = true
        })
        more()
      }),
    )
    const gateway = await proxy(yamlOf(primary.port, endless.port, 'compare: {}'))
    expect(await (await fetch(gateway.url)).text()).toBe('primary')
    await counted(gateway, 'mirror shop ok')
    await waitFor(() => isClosed)
    expect(sent).toBeLessThan(16 * 1024 * 1024)
    await isIdle(gateway)
    expect(mirrorOf(gateway)?.report).toMatchObject({ compared: 1, paths: [] })
  })

  test('a mirror that does not read a body holds nobody up', async () => {
    const primary = await service(({ body }) => `${body.length}`)
    const deaf = await opened(rawServer(() => {}))
    for (const socket of deaf.sockets) socket.pause()
    const gateway = await proxy(
      yamlOf(primary.port, deaf.port, 'methods: [PUT], maxBody: 4MiB, timeout: 300ms'),
    )
    const body = 'x'.repeat(3 * 1024 * 1024)
    expect(await (await fetch(gateway.url, { method: 'PUT', body })).text()).toBe(`${body.length}`)
    await counted(gateway, 'mirror shop timeout')
  })

  test('a client that leaves takes its request with it, not the copy', async () => {
    const silent = await opened(rawServer(() => {}))
    const mirror = await service()
    const gateway = await proxy(yamlOf(silent.port, mirror.port, 'timeout: 500ms, compare: {}'))
    const client = rawClient(gateway.port)
    client.send('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
    await counted(gateway, 'mirror shop ok')
    client.socket.destroy()
    expect((await gateway.record()).outcome).toBe('client_gone')
    await isIdle(gateway)
    expect(mirrorOf(gateway)).toMatchObject({ uncompared: 1, report: { compared: 0 } })
  })

  test('an upload that is broken off gives its place back', async () => {
    const [primary, mirror] = [await service(), await service()]
    const gateway = await proxy(yamlOf(primary.port, mirror.port, 'methods: [POST], maxInFlight: 1'))
    const client = rawClient(gateway.port)
    client.send('POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\n12345')
    await waitFor(() => gateway.mirrors.inFlight === 1)
    client.socket.destroy()
    await counted(gateway, 'mirror shop unsent')
    await fetch(gateway.url, { method: 'POST', body: 'x' })
    await counted(gateway, 'mirror shop ok')
    expect(mirror.got.map(({ body }) => body)).toEqual(['x'])
  })

  test('a service that breaks off is not compared', async () => {
    const broken = await opened(
      httpServer((_request, response) => {
        response.write('half')
        setImmediate(() => response.destroy())
      }),
    )
    const mirror = await service()
    const gateway = await proxy(yamlOf(broken.port, mirror.port, 'compare: {}'))
    const client = rawClient(gateway.port)
    client.send('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
    await once(client.socket, 'close')
    await isIdle(gateway)
    await counted(gateway, 'mirror shop ok')
    expect(mirrorOf(gateway)).toMatchObject({ uncompared: 1, report: { compared: 0 } })
  })
})

describe('comparison', () => {
  let id = 0
  const catalog = (price: number) => () => ({
    id: ++id,
    at: Math.random(),
    items: [{ sku: 'x', price }],
    stock: 5,
  })

  test('what stable has otherwise than itself is no difference; the rest is, by path', async () => {
    const [primary, mirror] = [await service(catalog(10)), await service(catalog(11))]
    const gateway = await proxy(yamlOf(primary.port, mirror.port, 'compare: {}'))
    for (let i = 0; i < 8; i++) await fetch(`${gateway.url}/items?token=geheim`)
    await isIdle(gateway)
    await waitFor(() => mirrorOf(gateway)?.report?.compared === 8)
    const report = mirrorOf(gateway)?.report
    expect(report).toMatchObject({ noiseCompared: 8, different: 8, equal: 0 })
    const paths = report?.paths.map(({ path, isNoise, share }) => [path, isNoise, share])
    expect(paths).toEqual([
      ['$.items[*].price', false, 1],
      ['$.id', true, 1],
      ['$.at', true, 1],
    ])
    expect(report?.paths[0]?.examples[0]).toMatchObject({
      request: 'GET /items',
      kind: 'value',
      primary: '10',
      mirror: '11',
    })
    expect(gateway.counted.filter((text) => text.startsWith('difference'))).toEqual(
      Array(8).fill('difference shop value'),
    )
    // The second question to stable carries the mark and the client's host, and is no request of a client.
    const again = primary.got.filter(({ headers }) => headers['x-sluice-mirror'] === 'shop')
    expect(again).toHaveLength(8)
    expect(again[0]?.headers.host).not.toContain('-shadow')
    expect(gateway.records).toHaveLength(8)
    expect(gateway.mirrors.reset('shop')).toBe(true)
    expect(mirrorOf(gateway)?.report).toMatchObject({ compared: 0, paths: [] })
  })

  test('an identical version shows no difference, packed or not', async () => {
    const body = (i: number) => ({ id: i, list: [1, 2, 3], note: 'x'.repeat(500) })
    const primary = await opened(
      httpServer((_request, response) => {
        response.setHeader('content-type', 'application/json').setHeader('content-encoding', 'gzip')
        response.end(gzipSync(JSON.stringify(body(1))))
      }),
    )
    const mirror = await service(() => body(1))
    const gateway = await proxy(yamlOf(primary.port, mirror.port, 'compare: { noise: 0 }'))
    for (let i = 0; i < 5; i++) await fetch(gateway.url)
    await waitFor(() => mirrorOf(gateway)?.report?.compared === 5)
    expect(mirrorOf(gateway)?.report).toMatchObject({ different: 0, equal: 5, noiseCompared: 0, paths: [] })
  })

  test('a copied POST is compared, but stable is not asked twice', async () => {
    const [primary, mirror] = [await service(() => ({ a: 1 })), await service(() => ({ a: '1' }))]
    const gateway = await proxy(yamlOf(primary.port, mirror.port, 'methods: [POST], compare: { noise: 1 }'))
    await fetch(gateway.url, { method: 'POST', body: '{}' })
    await waitFor(() => mirrorOf(gateway)?.report?.compared === 1)
    expect(primary.got).toHaveLength(1)
    expect(gateway.counted).toContain('difference shop type')
  })

  test('other rules begin the report anew, another percentage does not', async () => {
    const [primary, mirror] = [await service(() => ({ a: 1 })), await service(() => ({ a: 2 }))]
    const gateway = await proxy(yamlOf(primary.port, mirror.port, 'compare: {}'))
    const reported = async (count: number) => {
      await fetch(gateway.url)
      await waitFor(() => mirrorOf(gateway)?.report?.compared === count)
    }
    await reported(1)
    await gateway.swap(yamlOf(primary.port, mirror.port, 'percent: 100, maxInFlight: 3, compare: {}'))
    await reported(2)
    await gateway.swap(yamlOf(primary.port, mirror.port, 'compare: { ignore: [$.a] }'))
    await reported(1)
    expect(mirrorOf(gateway)?.report?.paths).toEqual([])
    await gateway.swap(
      `routes: [{ name: shop, match: { path: /none }, upstreams: ["http://127.0.0.1:${primary.port}"] }]`,
    )
    expect(gateway.mirrors.view()).toEqual([])
  })
})
