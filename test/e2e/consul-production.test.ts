import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { FleetView } from '../../src/core/fleet-view.ts'
import type { ServiceView, TopologyView } from '../../src/core/views.ts'
import { useCleanups } from '../support/cleanup.ts'
import {
  aclCalls,
  type ClusterNode,
  startConsul,
  startConsulCluster,
  type TestCluster,
} from '../support/consul.ts'
import { type GatewayOptions, type GatewayProcess, startGateway, startService } from '../support/gateway.ts'
import { startLoad } from '../support/load.ts'
import { tlsFiles } from '../support/tls-files.ts'
import { waitFor } from '../support/wait.ts'

const POLICIES = join(import.meta.dirname, '../../deploy/consul')
const RPS = 200
const { later, opened } = useCleanups()
let cluster: TestCluster
let agent: ClusterNode

beforeAll(async () => {
  cluster = await startConsulCluster({ acl: true, hasAgent: true })
  agent = cluster.agent as ClusterNode
})
afterAll(() => cluster.stop())

const rulesOf = (name: string) => readFileSync(join(POLICIES, `${name}.hcl`), 'utf8')

/** A token with the rules; the policy is named anew each time. */
async function tokenOf(rules: string): Promise<string> {
  const api = aclCalls(await cluster.leader())
  return api.createToken(await api.createPolicy(`p${process.hrtime.bigint()}`, rules))
}

async function started(options: GatewayOptions): Promise<GatewayProcess> {
  const gateway = await startGateway(options)
  later(() => {
    gateway.signal('SIGKILL')
    return gateway.exited()
  })
  return gateway
}

async function service(name: string, token: string) {
  const env = { CONSUL_HTTP_TOKEN: token }
  const process = await startService({ registry: agent.url, name, env })
  later(() => process.kill9())
  return process
}

/** Servers of the cluster that vote. */
async function votersOf(api: ClusterNode): Promise<number> {
  const { Servers } = await api.get<{ Servers: { Voter: boolean }[] }>('/v1/operator/raft/configuration')
  return Servers.filter(({ Voter }) => Voter).length
}

/** The blocks of a policy, with the comments before them. */
function blocksOf(rules: string): string[] {
  return rules.split(/(?<=^\}\n)/m).filter((block) => block.includes('{'))
}

const call = (method: string, path: string, token: string, body?: string) =>
  fetch(agent.url + path, {
    method,
    headers: { 'x-consul-token': token },
    ...(body === undefined ? {} : { body }),
  })

test('the policy of a gateway is enough, and each rule of it is needed', { timeout: 90_000 }, async () => {
  await agent.register({ Name: 'ledger', ID: 'ledger-1', Address: '10.0.0.1', Port: 80 })
  /** By the first line of each block: does what the gateway needs of it work? */
  const probes: Record<string, (token: string) => Promise<boolean>> = {
    'service_prefix ""': async (token) =>
      'ledger' in ((await (await call('GET', '/v1/catalog/services', token)).json()) as object),
    'node_prefix ""': async (token) =>
      ((await (await call('GET', '/v1/health/service/ledger', token)).json()) as unknown[]).length === 1,
    'service "sluice"': async (token) =>
      (await call('PUT', '/v1/agent/service/register', token, '{"Name":"sluice","ID":"probe","Port":1}')).ok,
    'key_prefix "sluice/"': async (token) => (await call('PUT', '/v1/kv/sluice/x', token, '1')).ok,
    // It takes a right away: what is pushed there is not for a gateway to change.
    'key_prefix "sluice/config/"': async (token) =>
      (await call('GET', '/v1/kv/sluice/config/?keys', token)).status === 404 &&
      (await call('PUT', '/v1/kv/sluice/config/x', token, '1')).status === 403,
    'session_prefix ""': async (token) => {
      const answer = await call('PUT', '/v1/session/create', token, '{"Checks":[],"TTL":"10s"}')
      return answer.ok
    },
  }
  const blocks = blocksOf(rulesOf('gateway'))
  const nameOf = (block: string) => /^(\w+ "[^"]*")/m.exec(block)?.[1] ?? ''
  expect(new Set(blocks.map(nameOf))).toEqual(new Set(Object.keys(probes)))
  const whole = await tokenOf(rulesOf('gateway'))
  for (const [name, probe] of Object.entries(probes)) {
    await waitFor(() => probe(whole), { what: `${name} to work` })
    const others = blocks.filter((block) => nameOf(block) !== name)
    const without = await tokenOf(others.join('\n'))
    // The token has to be known everywhere before its refusals mean anything.
    await waitFor(async () => (await call('GET', '/v1/catalog/services', without)).ok)
    expect([name, await probe(without)]).toEqual([name, false])
  }
  await agent.deregister('probe')
  await agent.deregister('ledger-1')
})

test('services, gateways and a monitor with the tokens of their policies: all works, and nobody can do more', {
  timeout: 90_000,
}, async () => {
  const shop = await tokenOf(rulesOf('service').replaceAll('SERVICE', 'acl-shop'))
  await service('acl-shop', shop)
  const more = await call('PUT', '/v1/agent/service/register', shop, '{"Name":"acl-other","Port":1}')
  expect(more.status).toBe(403)
  const token = await tokenOf(rulesOf('gateway'))
  const yamlOf = (secret: string, own = '') => `
registries: { consul: { type: consul, url: "${agent.url}", token: ${secret} } }
fleet: { store: consul, interval: 200ms }
routes: [{ name: shop, match: { pathPrefix: / }, service: acl-shop }]
canary: { interval: 200ms }
canaries:
  - name: v2
    service: acl-shop
    canary: { version: "9.*" }
    ramp: { steps: [{ percent: 10, hold: true }, { percent: 100 }] }
${own}`
  const gateway = await started({ yaml: yamlOf(token, 'self: { registry: consul, address: 127.0.0.1 }') })
  const monitor = await started({ verb: 'monitor', yaml: yamlOf(await tokenOf(rulesOf('monitor'))) })
  await waitFor(async () => (await fetch(gateway.publicUrl)).ok)
  await waitFor(async () => 'sluice' in (await agent.get<object>('/v1/catalog/services')))
  await waitFor(async () => (await gateway.admin<{ decides: boolean }>('/api/canaries')).decides)
  await waitFor(async () => {
    const { gateways, problem } = await monitor.admin<FleetView>('/api/fleet')
    return problem === undefined && gateways.some(({ role, isStale }) => role === 'gateway' && !isStale)
  })
  const { release } = await waitFor(async () => {
    const view = await monitor.admin<{ release?: { percent: number } }>('/api/canaries/v2')
    return view.release === undefined ? undefined : view
  })
  expect(release?.percent).toBe(10)
  // The monitor's token writes nothing: acting on a release says so.
  const act = await fetch(`${monitor.adminUrl}/api/canary/v2`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"action":"abort","reason":"test"}',
  })
  expect(act.ok).toBe(false)
  expect(await gateway.admin('/api/canaries/v2')).toMatchObject({ release: { percent: 10 } })
  expect(monitor.output()).not.toContain('session')
})

test('loses nothing while tokens rotate, servers restart one by one, one leaves, and the quorum is lost', {
  timeout: 240_000,
}, async () => {
  const secret = await tokenOf(rulesOf('service').replaceAll('SERVICE', 'prod-shop'))
  const running = [await service('prod-shop', secret), await service('prod-shop', secret)]
  expect(running).toHaveLength(2)
  const first = await tokenOf(rulesOf('gateway'))
  const gateway = await started({
    prepare: (folder) => writeFileSync(join(folder, 'token'), first),
    yaml: `registries: { consul: { type: consul, wait: 3s, url: "${agent.url}", tokenFile: ./token } }
routes: [{ name: shop, match: { pathPrefix: / }, service: prod-shop }]`,
  })
  const view = () => gateway.admin<ServiceView>('/api/services/prod-shop')
  await waitFor(async () => (await view()).available === 2)
  /** The gateway hears of a change: nothing is stale. */
  const seesANewOne = async (what: string) => {
    const next = await service('prod-shop', secret)
    running.push(next)
    await waitFor(
      async () => (await view()).available === running.length && (await view()).source === 'live',
      {
        timeoutMs: 40_000,
        what,
      },
    )
  }
  const load = startLoad({
    requests: [{ method: 'GET', url: `${gateway.publicUrl}/cart` }],
    rps: RPS,
    maxMs: 220_000,
  })

  const second = await tokenOf(rulesOf('gateway'))
  writeFileSync(join(gateway.folder, '.token.new'), second)
  renameSync(join(gateway.folder, '.token.new'), join(gateway.folder, 'token'))
  await aclCalls(await cluster.leader()).deleteToken(first)
  await seesANewOne('an instance, with the new token')

  for (const { url } of cluster.nodes) {
    await cluster.restart(url)
    await waitFor(() => cluster.leader(), { timeoutMs: 30_000, what: 'a leader' })
  }
  await seesANewOne('an instance, after all servers restarted')

  const [leaving] = await cluster.followers()
  await cluster.leave(leaving?.url ?? '')
  await seesANewOne('an instance, after a server left')
  await cluster.restart(leaving?.url ?? '')
  await waitFor(() => cluster.leader(), { timeoutMs: 30_000, what: 'a leader' })

  // A server that comes back votes after ten seconds.
  await waitFor(async () => (await votersOf(agent)) === 3, { timeoutMs: 40_000, what: 'three voters' })
  const [one, other] = cluster.nodes
  await cluster.kill(one?.url ?? '')
  await cluster.kill(other?.url ?? '')
  await waitFor(async () => (await view()).source === 'stale', {
    timeoutMs: 30_000,
    what: 'the loss to be noticed',
  })
  const from = load.sent()
  await waitFor(() => load.sent() > from + 2 * RPS, { timeoutMs: 20_000, what: 'requests without a quorum' })
  // Side by side: one of them alone may not be enough for a quorum.
  await Promise.all([one, other].map((node) => cluster.restart(node?.url ?? '')))
  await waitFor(() => cluster.leader(), { timeoutMs: 40_000, what: 'a leader' })
  await seesANewOne('an instance, after the quorum is back')

  const report = await load.stop()
  console.log(`consul in production: ${report.sent} requests at ${RPS}/s, ${report.failures.length} failed`)
  expect(report.failures).toEqual([])
  expect(report.sent).toBeGreaterThan(10 * RPS)
})

test('over TLS both ways: gateway and service show their certificates, and believe no other server', {
  timeout: 60_000,
}, async () => {
  const [mine, foreign] = [await opened(await tlsFiles('consul')), await opened(await tlsFiles('consul'))]
  const tls = { cert: mine.cert, key: mine.key, ca: mine.cert }
  const consul = await startConsul({ tls })
  later(() => consul.stop())
  const shop = await startService({
    registry: consul.tlsUrl,
    name: 'shop',
    env: { CONSUL_CACERT: mine.cert, CONSUL_CLIENT_CERT: mine.cert, CONSUL_CLIENT_KEY: mine.key },
  })
  later(() => shop.kill9())
  const yamlOf = (own: object) => `
registries: { consul: { type: consul, url: "${consul.tlsUrl}", tls: ${JSON.stringify(own)} } }
fleet: { store: consul, interval: 200ms }
routes: [{ name: shop, match: { pathPrefix: / }, service: shop }]`
  const gateway = await started({ yaml: yamlOf(tls) })
  await waitFor(async () => (await fetch(gateway.publicUrl)).ok)
  await waitFor(async () => (await consul.get<object[]>('/v1/kv/sluice/gateways?recurse')).length === 1)

  for (const wrong of [
    { ...tls, ca: foreign.cert },
    { ca: mine.cert },
    { ...tls, cert: foreign.cert, key: foreign.key },
  ]) {
    const blind = await started({ yaml: yamlOf(wrong), waitReady: false })
    await waitFor(async () => {
      const { registries } = await blind.admin<TopologyView>('/api/topology')
      return registries[0]?.status.lastError !== undefined
    })
    await waitFor(async () => (await fetch(blind.publicUrl)).status === 503)
  }
})
