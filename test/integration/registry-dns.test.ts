import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { decode, encode } from 'dns-packet'
import { expect, test } from 'vitest'
import type { DnsRegistryOptions, DnsService } from '../../src/registry/dns.ts'
import { useCleanups } from '../support/cleanup.ts'
import { startDns, type TestDns } from '../support/dns.ts'
import { dnsProvider } from '../support/dns-harness.ts'
import { watchProvider } from '../support/registry-watch.ts'
import { waitFor } from '../support/wait.ts'

const { later } = useCleanups()
const CART: DnsService = { name: 'cart.test', type: 'a', port: 8080, scheme: 'http' }
const SRV: DnsService = { name: '_http._tcp.cart.test', type: 'srv', scheme: 'http' }

async function dnsWith(records: readonly string[], options = {}): Promise<TestDns> {
  const dns = await startDns(options)
  later(() => dns.stop())
  await dns.publish(records)
  return dns
}

function watch(
  dns: { server: string } | readonly string[],
  services: Record<string, DnsService>,
  options: Partial<DnsRegistryOptions> = {},
) {
  const servers = 'server' in dns ? [dns.server] : dns
  const watched = watchProvider((deps) => dnsProvider('', services, { servers, ...options }, deps))
  later(() => watched.stop())
  return watched
}
const places = (watched: ReturnType<typeof watch>, service = 'cart') =>
  watched.instances(service).map(({ address, port }) => `${address} ${port}`)

test('A and AAAA records, also behind an alias, with what the configuration says of them', async () => {
  const dns = await dnsWith([
    'cart 1 CNAME blue',
    'blue 1 A 10.0.0.8',
    'blue 1 A 10.0.0.7',
    'blue 1 AAAA 2001:db8::1',
  ])
  const watched = watch(dns, {
    cart: { ...CART, name: 'Cart.Test.', version: '2', zone: 'a' },
    six: { ...CART, type: 'aaaa', scheme: 'https' },
  })
  await waitFor(() => watched.snapshot())
  expect(places(watched)).toEqual(['10.0.0.7 8080', '10.0.0.8 8080'])
  expect(watched.instances('cart')[0]).toMatchObject({
    key: 'main/dns/cart/10.0.0.7:8080',
    id: '10.0.0.7:8080',
    version: '2',
    zone: 'a',
    state: 'unknown',
    weight: 1,
  })
  expect(watched.instances('six')[0]).toMatchObject({
    address: '2001:db8::1',
    id: '[2001:db8::1]:8080',
    scheme: 'https',
  })
})

test('SRV: ports, weights, and priorities as ranks', async () => {
  const dns = await dnsWith([
    '_http._tcp.cart 1 SRV 10 60 8001 a',
    '_http._tcp.cart 1 SRV 10 0 8002 b',
    '_http._tcp.cart 1 SRV 20 5 8003 c',
    'a 1 A 10.0.0.1',
    'b 1 A 10.0.0.2',
    'c 1 AAAA 2001:db8::3',
  ])
  const watched = watch(dns, { cart: SRV })
  await waitFor(() => watched.snapshot())
  const told = watched
    .instances('cart')
    .map(({ port, weight, priority, meta }) => [port, weight, priority, meta['host']])
  expect(told).toEqual([
    [8001, 60, undefined, 'a.test'],
    [8002, 0.01, undefined, 'b.test'],
    [8003, 5, 1, 'c.test'],
  ])
})

test('SRV without any weight: all the same; targets without an address are named; "." is nobody', async () => {
  const dns = await dnsWith([
    'cart 1 SRV 0 0 8001 a',
    'cart 1 SRV 0 0 8002 gone',
    'a 1 A 10.0.0.1',
    'pay 1 SRV 0 0 0 .',
  ])
  const watched = watch(dns, { cart: { ...SRV, name: 'cart.test' }, pay: { ...SRV, name: 'pay.test' } })
  await waitFor(() => watched.snapshot())
  expect(watched.instances('cart').map(({ port, weight }) => [port, weight])).toEqual([[8001, 1]])
  expect(watched.snapshot()?.problems).toEqual(['cart.test SRV: gone.test has no address'])
  expect(watched.instances('pay')).toEqual([])
})

test('an answer that is too long for UDP is read over TCP', async () => {
  const dns = await dnsWith(
    Array.from({ length: 300 }, (_, n) => `cart 1 A 10.0.${Math.floor(n / 200)}.${n % 200}`),
  )
  const watched = watch(dns, { cart: CART })
  await waitFor(() => watched.snapshot())
  expect(watched.instances('cart').length).toBe(300)
})

test('a name is asked again when its TTL is over, not before', async () => {
  const dns = await dnsWith(['cart 3 A 10.0.0.7', 'pay 1 A 10.0.0.7'])
  const watched = watch(dns, { cart: CART, pay: { ...CART, name: 'pay.test' } })
  await waitFor(() => watched.snapshot())
  const since = performance.now()
  await dns.publish(['cart 3 A 10.0.0.8', 'pay 1 A 10.0.0.8'])
  await waitFor(() => places(watched, 'pay').join() === '10.0.0.8 8080')
  expect(places(watched)).toEqual(['10.0.0.7 8080'])
  await waitFor(() => places(watched).join() === '10.0.0.8 8080')
  expect(performance.now() - since).toBeGreaterThan(2500)
})

test('minTtl and maxTtl bound the TTL', async () => {
  const dns = await dnsWith(['cart 0 A 10.0.0.7', 'pay 3600 A 10.0.0.7'])
  const watched = watch(
    dns,
    { cart: CART, pay: { ...CART, name: 'pay.test' } },
    { minTtl: 2000, maxTtl: 2500 },
  )
  await waitFor(() => watched.snapshot())
  const since = performance.now()
  await dns.publish(['cart 0 A 10.0.0.8', 'pay 3600 A 10.0.0.8'])
  await waitFor(() => places(watched).join() === '10.0.0.8 8080')
  expect(performance.now() - since).toBeGreaterThan(1500)
  await waitFor(() => places(watched, 'pay').join() === '10.0.0.8 8080')
})

test('a name that is gone has nobody; a server that fails changes nothing', async () => {
  const dns = await dnsWith(['cart 1 A 10.0.0.7', 'cart 1 A 10.0.0.8', 'pay 1 A 10.0.0.7'])
  const watched = watch(dns, { cart: CART, pay: { ...CART, name: 'pay.test' } }, { timeout: 300 })
  await waitFor(() => places(watched).length === 2)
  dns.freeze()
  await waitFor(() => watched.status()?.state === 'stale', { timeoutMs: 10_000 })
  expect(watched.status()?.lastError).toMatchObject({ code: 'GW_REGISTRY_TIMEOUT' })
  expect(watched.status()?.lastError?.message).toMatch(/\.test A at 127\.0\.0\.1:\d+: no answer in time/)
  expect(places(watched).length).toBe(2)
  expect([...(watched.snapshot()?.failed ?? [])].sort()).toEqual(['cart', 'pay'])
  dns.thaw()
  await waitFor(() => watched.status()?.state === 'live', { timeoutMs: 15_000 })
  await dns.publish(['pay 1 TXT "no address any more"'])
  await waitFor(() => watched.snapshot()?.services.size === 0)
  expect(watched.status()?.state).toBe('live')
  // Nobody explained that, so the guard keeps them.
  expect(watched.state().services.get('cart')?.source).toBe('held')
})

test('a name that the server refuses is stale alone', async () => {
  const dns = await dnsWith(['cart 1 A 10.0.0.7'])
  const watched = watch(dns, { cart: CART, pay: { ...CART, name: 'pay.example' } })
  await waitFor(() => watched.snapshot())
  expect(watched.status()?.state).toBe('live')
  expect([...(watched.snapshot()?.failed ?? [])]).toEqual(['pay'])
  expect(watched.snapshot()?.problems[0]).toMatch(/^pay: pay\.example A at 127\.0\.0\.1:\d+: REFUSED$/)
})

test('a server that does not answer is passed over', async () => {
  const dead = await startDns({ isDown: true })
  later(() => dead.stop())
  const frozen = await dnsWith([])
  frozen.freeze()
  const dns = await dnsWith(['cart 1 A 10.0.0.7'])
  const watched = watch([dead.server, frozen.server, dns.server], { cart: CART }, { timeout: 300 })
  await waitFor(() => places(watched).length === 1)
  expect(watched.status()?.state).toBe('live')
})

/** A server that answers as it is told; Knot does not lie. */
async function lyingServer(answer: (message: Buffer, send: (reply: Buffer) => void) => void) {
  const socket = createSocket('udp4')
  socket.on('message', (message, { port }) =>
    answer(message, (reply) => socket.send(reply, port, '127.0.0.1')),
  )
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  later(() => void socket.close())
  return `127.0.0.1:${socket.address().port}`
}

test('answers to other questions, and what is no answer at all, are not heard', async () => {
  const server = await lyingServer((message, send) => {
    const { id = 0, questions = [] } = decode(message)
    const reply = (own: object) => {
      const answers = [{ type: 'A' as const, name: 'cart.test', ttl: 1, data: '10.6.6.6' }]
      send(encode({ type: 'response', id, questions, answers, ...own }))
    }
    send(Buffer.from('nonsense'))
    reply({ id: (id + 1) % 65_536 })
    reply({ questions: [{ type: 'A', name: 'evil.test' }] })
    reply({ answers: [{ type: 'A', name: 'cart.test', ttl: 1, data: '10.0.0.7' }] })
  })
  const watched = watch([server], { cart: CART })
  await waitFor(() => places(watched).join() === '10.0.0.7 8080')
})

test('an empty answer that only refers to other servers is a failure, not nobody', async () => {
  const server = await lyingServer((message, send) => {
    const { id = 0, questions = [] } = decode(message)
    const authorities = [{ type: 'NS' as const, name: 'test', ttl: 1, data: 'ns.test' }]
    send(encode({ type: 'response', id, questions, authorities }))
  })
  const watched = watch([server], { cart: CART })
  await waitFor(() => watched.status()?.state === 'failed')
  expect(watched.status()?.lastError?.message).toContain('it is no resolver for this name')
})

test('a forbidden address is left out alone', async () => {
  const dns = await dnsWith(['cart 1 A 169.254.169.254', 'cart 1 A 10.0.0.7'])
  const watched = watch(dns, { cart: CART }, { forbidAddresses: ['169.254.0.0/16'] })
  await waitFor(() => places(watched).length === 1)
  expect(watched.snapshot()?.problems).toEqual([
    'cart.test A: cart.test is left out: 169.254.169.254 is in forbidAddresses',
  ])
})
