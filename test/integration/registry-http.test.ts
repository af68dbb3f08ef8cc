import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { HttpOptions } from '../../src/registry/http.ts'
import { useCleanups } from '../support/cleanup.ts'
import { createEndpoint, httpProvider, type TestEndpoint } from '../support/http-harness.ts'
import { watchProvider } from '../support/registry-watch.ts'
import { tlsFiles } from '../support/tls-files.ts'
import { waitFor } from '../support/wait.ts'

const { later } = useCleanups()
const one = { url: 'http://10.0.0.7:8080' }

async function endpointWith(services: Record<string, unknown[]>, options = {}): Promise<TestEndpoint> {
  const endpoint = await createEndpoint(options)
  for (const [name, list] of Object.entries(services)) {
    endpoint.services.set(name, new Map(list.map((record, i) => [String(i), record])))
  }
  endpoint.publish()
  await endpoint.start()
  later(() => endpoint.stop())
  return endpoint
}

function watch(url: string, options: Partial<HttpOptions> = {}) {
  const watched = watchProvider((deps) => httpProvider(url, options, deps))
  later(() => watched.stop())
  return watched
}

test('Prometheus’ http_sd is read, too', async () => {
  const endpoint = await endpointWith({})
  endpoint.override({
    text: '[{"targets":["10.0.0.7:80","10.0.0.8:81"],"labels":{"job":"cart","zone":"a"}}]',
  })
  const watched = watch(endpoint.url)
  await waitFor(() => watched.instances('cart').length === 2)
  expect(watched.instances('cart')[1]).toMatchObject({
    address: '10.0.0.8',
    port: 81,
    zone: 'a',
    state: 'unknown',
  })
})

test.each([
  ['{"services":', 'this is no JSON'],
  ['{"services":{"cart":{"url":"x"}}}', 'services.cart: '],
  ['{"servises":{}}', 'services: '],
  ['[{"targets":[8080]}]', '0.targets.0: '],
  ['[{"targets":["10.0.0.7:80"]}]', '0.labels: a target group has neither'],
])('an answer that cannot be used changes nothing and is named: %s', async (text, words) => {
  const endpoint = await endpointWith({ cart: [one] })
  const watched = watch(`${endpoint.url}?key=secret`)
  await waitFor(() => watched.instances('cart').length === 1)
  const before = watched.instances('cart')[0]
  endpoint.override({ text })
  await waitFor(() => watched.status()?.state === 'stale')
  const message = watched.status()?.lastError?.message ?? ''
  expect(message).toContain(`${endpoint.url}: `)
  expect(message).toContain(words)
  expect(message).not.toContain('secret')
  expect(watched.instances('cart')[0]).toBe(before)
  endpoint.override(undefined)
  await waitFor(() => watched.status()?.state === 'live')
  expect(watched.instances('cart')[0]).toBe(before)
})

test('an answer that is too long is not read to its end', async () => {
  const endpoint = await endpointWith({ cart: [one] })
  const watched = watch(endpoint.url, { maxSize: 1000 })
  await waitFor(() => watched.instances('cart').length === 1)
  endpoint.override({ text: ' '.repeat(5_000_000) })
  await waitFor(() => watched.status()?.state === 'stale')
  expect(watched.status()?.lastError?.message).toContain('longer than 1000 bytes')
})

test('a redirect is not followed', async () => {
  const endpoint = await endpointWith({ cart: [one] })
  const server = createServer((_request, response) =>
    response.writeHead(302, { location: endpoint.url }).end(),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  later(() => void server.close())
  const watched = watch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, { token: 'secret' })
  await waitFor(() => watched.status()?.state === 'failed')
  expect(watched.status()?.lastError?.message).toContain('answered with 302')
  expect(endpoint.counts.requests).toBe(0)
})

test('with an ETag an unchanged document is not sent again', async () => {
  const endpoint = await endpointWith({ cart: [one] })
  const watched = watch(endpoint.url)
  await waitFor(() => endpoint.counts.unchanged >= 3)
  expect(endpoint.counts.requests - endpoint.counts.unchanged).toBe(1)
  expect(watched.status()?.state).toBe('live')
})

test('an endpoint that does not hold requests is asked each interval, not in a circle', async () => {
  const endpoint = await endpointWith({ cart: [one] }, { isPatient: false })
  const watched = watch(endpoint.url, { wait: 30_000, interval: 1000 })
  await waitFor(() => watched.instances('cart').length === 1)
  await waitFor(() => endpoint.counts.unchanged >= 2)
  expect(endpoint.counts.requests).toBeLessThan(6)
})

test('an endpoint that holds requests is told by one request in that time', async () => {
  const endpoint = await endpointWith({ cart: [one] }, { isPatient: true })
  const watched = watch(endpoint.url, { wait: 30_000, interval: 60_000 })
  await waitFor(() => endpoint.counts.requests === 2)
  endpoint.services.set('pay', new Map([['0', one]]))
  endpoint.publish()
  await waitFor(() => watched.instances('pay').length === 1, { timeoutMs: 1000 })
})

test('a token is read from its file again', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-token-'))
  later(() => rmSync(folder, { recursive: true }))
  const tokenFile = join(folder, 'token')
  writeFileSync(tokenFile, 'first\n')
  const endpoint = await endpointWith({ cart: [one] })
  endpoint.guard('first')
  const watched = watch(endpoint.url, { tokenFile })
  await waitFor(() => watched.instances('cart').length === 1)
  endpoint.guard('second')
  await waitFor(() => watched.status()?.state === 'stale')
  expect(watched.status()?.lastError?.code).toBe('GW_REGISTRY_ACL')
  writeFileSync(tokenFile, 'second\n')
  await waitFor(() => watched.status()?.state === 'live')
})

test('a second record with an id, and a forbidden address, are left out alone', async () => {
  const again = { ...one, id: 'x' }
  const endpoint = await endpointWith({ cart: [again, again, { url: 'http://169.254.169.254:80' }] })
  const watched = watch(endpoint.url, { forbidAddresses: ['169.254.0.0/16'] })
  await waitFor(() => watched.instances('cart').length === 1)
  const problems = watched.snapshot()?.problems.join('\n')
  expect(problems).toContain('services.cart.1: the id "x" stands there already')
  expect(problems).toContain('services.cart.2: 169.254.169.254 is in forbidAddresses')
})

test('an endpoint that says nothing is given up after the timeout', async () => {
  const server = createServer(() => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  later(() => {
    server.closeAllConnections()
    server.close()
  })
  const watched = watch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, { timeout: 300 })
  await waitFor(() => watched.status()?.state === 'failed')
  expect(watched.status()?.lastError?.message).toContain('no whole answer in 300 ms')
})

test('over TLS only an endpoint with a trusted certificate is believed', async () => {
  const files = await tlsFiles('localhost')
  later(() => files.close())
  const options = { cert: readFileSync(files.cert), key: readFileSync(files.key) }
  const server = createTlsServer(options, (_request, response) =>
    response.end(JSON.stringify({ services: { cart: [one] } })),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  later(() => {
    server.closeAllConnections()
    server.close()
  })
  const url = `https://localhost:${(server.address() as AddressInfo).port}/`
  const stranger = watch(url)
  await waitFor(() => stranger.status()?.state === 'failed')
  expect(stranger.status()?.lastError?.message).toContain('self-signed')
  const watched = watch(url, { tls: { ca: files.cert } })
  await waitFor(() => watched.instances('cart').length === 1)
})
