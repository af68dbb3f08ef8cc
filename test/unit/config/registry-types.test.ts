import { expect, test } from 'vitest'
import { load, problemsOf } from '../../support/config.ts'

const registry = (text: string) => `registries: { main: ${text} }`

test.each([
  ['{ type: http }', 'registries.main.url', 'is missing'],
  ['{ type: http, url: "ftp://a/b" }', 'registries.main.url', 'this is no URL with http or https'],
  ['{ type: http, url: "http://u:secret@a/b" }', 'registries.main.url', 'a user or a # does not belong here'],
  ['{ type: http, url: "http://a/b", interval: 10ms }', 'registries.main.interval', 'is too short'],
  ['{ type: http, url: "http://a/b", tls: { ca: ca.pem } }', 'registries.main.url', 'spoken to in clear'],
  [
    '{ type: dns, services: { cart: { name: cart.test } } }',
    'registries.main.services.cart.port',
    'is missing',
  ],
  [
    '{ type: dns, services: { cart: { name: cart.test, type: srv, port: 80 } } }',
    'registries.main.services.cart.port',
    'means nothing for srv',
  ],
  [
    '{ type: dns, services: { cart: { name: "cart test", port: 80 } } }',
    'registries.main.services.cart.name',
    'a whole name',
  ],
  [
    '{ type: dns, services: {}, servers: [dns.test] }',
    'registries.main.servers[0]',
    'is no address of a DNS server',
  ],
  ['{ type: dns, services: {}, minTtl: 10s, maxTtl: 5s }', 'registries.main.maxTtl', 'is less than minTtl'],
  ['{ type: nacos, password: x }', 'registries.main.username', 'is missing beside a password'],
  ['{ type: nacos, urls: ["http://a/nacos?x=1"] }', 'registries.main.urls', 'a ? does not belong here'],
  ['{ type: consul, serviceName: { strip: "" } }', 'registries.main.serviceName.strip', ''],
])('%s is a mistake at %s', async (text, path, words) => {
  const [problem] = await problemsOf({ 'sluice.yaml': registry(text) })
  expect(problem?.path).toBe(path)
  expect(`${problem?.message} ${problem?.fix}`).toContain(words)
  expect(problem?.message).not.toContain('secret')
})

test('servers of DNS: addresses with and without a port, of both kinds', async () => {
  const servers = '["10.0.0.2", "10.0.0.2:5353", "2001:db8::1", "[2001:db8::1]:53"]'
  expect(
    await problemsOf({ 'sluice.yaml': registry(`{ type: dns, services: {}, servers: ${servers} }`) }),
  ).toEqual([])
})

const TWO = 'registries: { a: { type: embedded }, b: { type: embedded } }\n'
const failoverOf = async (text: string, name: string) => {
  const { dynamic } = await load({ 'sluice.yaml': TWO + text })
  return (dynamic.services.find((service) => service.name === name) ?? dynamic.defaultPolicy).failover
}

test('registryMode: the order is that of registry, else that of registries; alone it is none', async () => {
  const own = 'services: { cart: { registry: [b, a], registryMode: failover, registryReturn: 5s } }'
  expect(await failoverOf(own, 'cart')).toEqual({ order: ['b', 'a'], returnAfterMs: 5000 })
  const all =
    'defaults: { registryMode: failover }\nservices: { cart: {}, pay: { registryMode: merge }, old: { registry: a } }'
  expect(await failoverOf(all, 'cart')).toEqual({ order: ['a', 'b'], returnAfterMs: 30_000 })
  expect(await failoverOf(all, 'somebody else')).toEqual({ order: ['a', 'b'], returnAfterMs: 30_000 })
  expect(await failoverOf(all, 'pay')).toBeUndefined()
  expect(await failoverOf(all, 'old')).toBeUndefined()
})
