import { brotliCompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import type { RegistryState } from '../../src/core/types.ts'
import { breachesOf } from '../../src/mirror/contract-book.ts'
import { useCleanups } from '../support/cleanup.ts'
import { anInstance } from '../support/exchange.ts'
import type { RunningProxy } from '../support/proxy.ts'
import { httpServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const { opened, proxy } = useCleanups()

const yaml = (options: string) => `registries: { local: { type: embedded } }
routes: [{ name: all, match: { pathPrefix: / }, service: shop, contract: { sample: 1, minSamples: 10, ${options} } }]`

const registryOf = (...ports: readonly number[]): RegistryState => ({
  services: new Map([
    [
      'shop',
      {
        name: 'shop',
        instances: ports.map((port, i) => anInstance(`${i}`, port, { version: `${i + 1}` })),
        source: 'live',
        lastGoodAt: 0,
      },
    ],
  ]),
  problems: [],
})

const json = (make: () => object, coding?: 'br') =>
  httpServer((_request, response) => {
    response.setHeader('content-type', 'application/json; charset=utf-8')
    const text = JSON.stringify(make())
    if (coding !== undefined) response.setHeader('content-encoding', coding)
    response.end(coding === undefined ? text : brotliCompressSync(text))
  })

const seen = (gateway: RunningProxy) =>
  gateway.contracts.view()[0]?.versions.reduce((sum, { answers }) => sum + answers, 0) ?? 0

async function ask(gateway: RunningProxy, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    const before = seen(gateway)
    await (await fetch(gateway.url)).text()
    await waitFor(() => seen(gateway) > before)
  }
}

test('a version that drops a field is told, and holds its ramp; clients get what the service sent', async () => {
  const one = await opened(json(() => ({ id: 1, name: 'x' }), 'br'))
  const two = await opened(json(() => ({ id: 1 })))
  const services = new Map(registryOf(one.port).services)
  const gateway = await proxy({ registry: { services, problems: [] }, yaml: yaml('') })
  await ask(gateway, 12)
  for (const [name, both] of registryOf(one.port, two.port).services) services.set(name, both)
  await gateway.swap(yaml(''))
  await ask(gateway, 20)
  expect(gateway.counted).toEqual(['breach all dropped $.name'])
  const [breach] = gateway.contracts.breaches()
  expect(breach).toMatchObject({ version: '2', against: '1', before: 'string', after: 'absent' })
  expect(breachesOf(gateway.contracts.breaches(), { service: 'shop', version: '2' })).toHaveLength(1)
  const texts = await Promise.all([0, 1, 2, 3].map(async () => (await fetch(gateway.url)).text()))
  expect(new Set(texts)).toEqual(new Set(['{"id":1,"name":"x"}', '{"id":1}']))
  expect(gateway.contracts.forget('all')).toBe(true)
  expect(gateway.contracts.breaches()).toEqual([])
})

test('large answers, other types, errors and what was broken off are not looked at', async () => {
  let at = 0
  const kinds = [
    ['application/json', 200, JSON.stringify({ text: 'x'.repeat(70_000) })],
    ['text/html', 200, '{}'],
    ['application/json', 500, '{}'],
    ['application/json', 200, '{"a":'],
    ['application/problem+json', 200, '{"a":1}'],
  ] as const
  const server = await opened(
    httpServer((_request, response) => {
      const [type, status, body] = kinds[at++] ?? kinds[0]
      response.writeHead(status, { 'content-type': type }).end(body)
    }),
  )
  const gateway = await proxy({ registry: registryOf(server.port), yaml: yaml('') })
  for (let i = 0; i < kinds.length; i++) await (await fetch(gateway.url)).text()
  await waitFor(() => seen(gateway) === 1)
  expect(gateway.contracts.view()).toMatchObject([{ versions: [{ answers: 1, fields: 2 }] }])
})
