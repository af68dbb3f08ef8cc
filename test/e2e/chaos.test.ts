import { afterEach, expect, test } from 'vitest'
import { startConsul, startConsulCluster } from '../support/consul.ts'
import { type GatewayProcess, type ServiceProcess, startGateway, startService } from '../support/gateway.ts'
import { type LoadReport, quantile, startLoad } from '../support/load.ts'
import { waitFor } from '../support/wait.ts'

const RPS = 200
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const ROUTES = { 'shop.yaml': 'routes: [{ name: shop, match: { pathPrefix: / }, service: shop }]' }

interface Service {
  source: string
  available: number
  instances: { id: string; use: string }[]
}

async function start(consulUrl: string, registry: string, token?: string) {
  const services: ServiceProcess[] = []
  cleanups.push(() => Promise.all(services.map((service) => service.kill9())))
  for (let i = 0; i < 3; i++) services.push(await startService({ registry, name: 'shop' }))
  const gateway = await startGateway({
    yaml: `registries: { consul: { type: consul, wait: 3s, url: "${consulUrl}"${token === undefined ? '' : `, token: ${token}`} } }`,
    routes: ROUTES,
  })
  cleanups.push(() => {
    gateway.signal('SIGKILL')
    return gateway.exited()
  })
  await waitFor(async () => (await shop(gateway)).available === 3, { what: 'three instances' })
  return { gateway, services }
}

const shop = (gateway: GatewayProcess) => gateway.admin<Service>('/api/services/shop')

/** 200 requests a second while `chaos` runs, and until each of the conditions that it waits for is met. */
async function underLoad(gateway: GatewayProcess, chaos: (sent: () => number) => Promise<unknown>) {
  const load = startLoad({
    requests: [{ method: 'GET', url: `${gateway.publicUrl}/cart` }],
    rps: RPS,
    maxMs: 40_000,
  })
  const after = (count: number) => {
    const from = load.sent()
    return waitFor(() => load.sent() >= from + count, { timeoutMs: 30_000, what: `${count} requests` })
  }
  await after(RPS)
  await chaos(load.sent)
  await after(2 * RPS)
  return load.stop()
}

function expectNoLoss(name: string, report: LoadReport): void {
  const { latencies, sent } = report
  console.log(
    `${name}: ${sent} requests at ${RPS}/s, ${report.failures.length} failed, ` +
      `p50 ${quantile(latencies, 0.5).toFixed(1)} ms, p99 ${quantile(latencies, 0.99).toFixed(1)} ms`,
  )
  expect(report.failures).toEqual([])
  expect(report.ok).toBe(sent)
}

test('loses nothing while an instance is killed', async () => {
  const consul = await startConsul()
  cleanups.push(() => consul.stop())
  const { gateway, services } = await start(consul.url, consul.url)
  const report = await underLoad(gateway, async (sent) => {
    await services[0]?.kill9()
    const from = sent()
    await waitFor(() => sent() > from + 3 * RPS, { timeoutMs: 20_000 })
  })
  expectNoLoss('instance killed', report)
  await waitFor(async () => (await shop(gateway)).instances.some(({ use }) => use !== 'rotation'), {
    what: 'the dead instance to be out of rotation',
  })
})

test('loses nothing while the leader of three Consul servers is killed', async () => {
  const cluster = await startConsulCluster()
  cleanups.push(() => cluster.stop())
  const [follower] = await cluster.followers()
  const url = follower?.url as string
  const { gateway, services } = await start(url, url)
  const report = await underLoad(gateway, async () => {
    await cluster.killLeader()
    await waitFor(() => cluster.leader(), { timeoutMs: 30_000, what: 'a new leader' })
    services.push(await startService({ registry: url, name: 'shop' }))
    await waitFor(async () => (await shop(gateway)).available === 4, {
      timeoutMs: 20_000,
      what: 'a new instance seen through the new leader',
    })
  })
  expectNoLoss('leader killed', report)
})

test('loses nothing while the agent restarts with a wiped data folder', async () => {
  const consul = await startConsul()
  cleanups.push(() => consul.stop())
  const { gateway } = await start(consul.url, consul.url)
  const report = await underLoad(gateway, async () => {
    await consul.restart({ wipe: true })
    await waitFor(
      async () => {
        const { source, available } = await shop(gateway)
        return source === 'live' && available === 3
      },
      { timeoutMs: 30_000, what: 'all instances registered again' },
    )
  })
  expectNoLoss('agent wiped', report)
})

test('loses nothing while the ACL token loses its rights, and names the reason', async () => {
  const consul = await startConsul({ acl: true })
  cleanups.push(() => consul.stop())
  const all = 'service_prefix "" { policy = "write" } node_prefix "" { policy = "read" }'
  const policy = await consul.createPolicy('gateway', all)
  const token = await consul.createToken(policy)
  const services = consul.masterToken
  process.env['CONSUL_HTTP_TOKEN'] = services
  cleanups.push(() => {
    delete process.env['CONSUL_HTTP_TOKEN']
  })
  const { gateway } = await start(consul.url, consul.url, token)
  const report = await underLoad(gateway, async () => {
    await consul.updatePolicy(policy, 'gateway', 'key_prefix "unrelated" { policy = "read" }')
    await consul.register({ Name: 'other', ID: 'other-1', Port: 9 })
    await waitFor(
      async () => {
        const { warnings } = await gateway.admin<{ warnings: string[] }>('/health/ready')
        return warnings.some((warning) => /token|ACL|held|stale/.test(warning))
      },
      { timeoutMs: 30_000, what: 'a warning' },
    )
  })
  expectNoLoss('ACL narrowed', report)
})
