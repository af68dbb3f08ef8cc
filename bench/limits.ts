import { IoRedisStore } from '../plugins/redis.ts'
import { stores } from '../src/config/stores.ts'
import { systemClock } from '../src/core/duration.ts'
import type { FilterContext } from '../src/filters/filter.ts'
import { FILTERS } from '../src/filters/list.ts'
import { createChains, runInbound } from '../src/filters/runner.ts'
import { aFilterEnvironment } from '../test/support/filter-environment.ts'
import { aContext } from '../test/support/filters.ts'
import { type GatewayProcess, startGateway } from '../test/support/gateway.ts'
import { quantile, startLoad } from '../test/support/load.ts'
import { startRedis, type TestRedis } from '../test/support/redis.ts'
import { aRoute } from '../test/support/routing.ts'
import { waitFor } from '../test/support/wait.ts'
import { cpuSeconds, machineLine } from './support.ts'

/**
 * Limits: CPU of a decision in the process and in Redis; 2,000 requests a second on one limit from two gateways, and
 * whether exactly the limit was let in; a Redis that is killed and comes back under load.
 *
 *   node bench/limits.ts
 */
const RPS = 2000
const LOAD_MS = 10_000
const LIMIT = 10_000
const FAULT_RPS = 1000

console.log(machineLine())
/** CPU of this process for each call, user and system. µs. */
async function cpuOf(calls: number, run: () => unknown): Promise<number> {
  const before = process.cpuUsage()
  await run()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / calls
}

function chainWith(options: object, store?: IoRedisStore) {
  const resources = {
    store: () => store as IoRedisStore,
  }
  const filters = [
    { name: 'limit', type: 'rate-limit', options: options as Record<string, unknown>, source: 'bench' },
  ]
  const environment = aFilterEnvironment({ resources: { ...aFilterEnvironment().resources, ...resources } })
  return createChains(FILTERS, environment).chainFor(aRoute('r', {}, { filters }))
}

const contexts = (): FilterContext[] =>
  Array.from({ length: 1000 }, (_, i) => aContext({ clientIp: `10.0.${i >> 8}.${i & 255}` }))

async function measureDecisions(): Promise<void> {
  const rule = { rate: '1000000/1s', key: ['client-ip'] }
  const all = contexts()
  const report: string[] = []
  const inProcess = async (name: string, options: object) => {
    const chain = chainWith(options)
    const once = (calls: number) =>
      cpuOf(calls, () => {
        for (let i = 0; i < calls; i++) {
          const ctx = all[i % 1000] as FilterContext
          ctx.attributes.clear()
          void runInbound(chain, ctx)
        }
      })
    await once(100_000)
    report.push(`${name}: ${(await once(500_000)).toFixed(2)} µs`)
  }
  await inProcess('in the process, one rule, no headers', { rules: [rule], headers: 'none' })
  await inProcess('in the process, one rule', { rules: [rule] })
  await inProcess('in the process, three rules', {
    rules: [rule, { ...rule, algorithm: 'sliding-window' }, { rate: '1000000/1s', key: ['route'] }],
  })

  const redis = await startRedis()
  const config = stores.parse({ s: { type: 'redis', url: redis.url, commandTimeout: '1s' } })['s']
  const store = new IoRedisStore('s', config as never, {
    clock: systemClock,
    random: Math.random,
    log: { info: () => {}, warn: () => {} },
    onState: () => {},
    onFailure: () => {},
  })
  store.connect()
  await waitFor(() => store.isUp)
  for (const [name, rules] of [
    ['in Redis, one rule', [rule]],
    [
      'in Redis, three rules, one script',
      [rule, { ...rule, algorithm: 'sliding-window' }, { rate: '1000000/1s', key: ['route'] }],
    ],
  ] as const) {
    const chain = chainWith({ rules, store: 's' }, store)
    const run = (calls: number) =>
      Promise.all(
        Array.from({ length: 64 }, async (_, client) => {
          for (let i = client; i < calls; i += 64) {
            const ctx = all[i % 1000] as FilterContext
            ctx.attributes.clear()
            await runInbound(chain, ctx)
          }
        }),
      )
    await run(10_000)
    const [began, redisBefore] = [performance.now(), cpuSeconds(redis.pid)]
    const cpu = await cpuOf(60_000, () => run(60_000))
    const after = cpuSeconds(redis.pid)
    const rate = 60_000 / ((performance.now() - began) / 1000)
    const ofRedis = ((after.user + after.system - redisBefore.user - redisBefore.system) / 60_000) * 1e6
    report.push(`${name}: ${cpu.toFixed(1)} µs, Redis ${ofRedis.toFixed(1)} µs, ${Math.round(rate)} a second`)
  }
  store.close()
  await redis.stop()
  console.log(`\nCPU of a decision\n${report.map((line) => `- ${line}`).join('\n')}`)
}

async function twoGateways(redis: TestRedis, rate: string): Promise<GatewayProcess[]> {
  const options = {
    yaml: `stores: { limits: { type: redis, url: "${redis.url}" } }
log: { access: { enabled: false } }
drain: { acceptGrace: 0 }`,
    routes: {
      'a.yaml': `
filters:
  limit: { type: rate-limit, store: limits, gateways: 2, rules: [{ name: all, rate: ${rate}, key: [constant] }] }
routes: [{ name: all, match: { pathPrefix: / }, filters: [limit], respond: { body: ok } }]`,
    },
  }
  const both = [await startGateway(options), await startGateway(options)]
  for (const one of both)
    await waitFor(async () => (await metric(one, 'sluice_store_up{store="limits"}')) === 1)
  return both
}

async function metric(one: GatewayProcess, series: string): Promise<number> {
  const text = await (await fetch(`${one.adminUrl}/metrics`)).text()
  const line = text.split('\n').find((each) => each.startsWith(`${series} `))
  return Number(line?.slice(series.length + 1) ?? 0)
}

const decisions = (one: GatewayProcess, decision: string) =>
  metric(one, `sluice_rate_limit_decisions_total{filter="limit",decision="${decision}"}`)

async function sumOf(all: readonly GatewayProcess[], decision: string): Promise<number> {
  let sum = 0
  for (const one of all) sum += await decisions(one, decision)
  return sum
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const label = (status: number) => String(status)
const isGood = (status: number) => status === 200 || status === 429

async function measureExactness(): Promise<void> {
  const redis = await startRedis()
  // A year, so that nothing comes back while we look.
  const both = await twoGateways(redis, `${LIMIT}/365d`)
  const requests = both.map(({ publicUrl }) => ({ method: 'GET', url: publicUrl }))
  const load = startLoad({ requests, rps: RPS, maxMs: LOAD_MS, isGood, label })
  await waitFor(() => load.sent() >= (RPS * LOAD_MS) / 1000, { timeoutMs: 3 * LOAD_MS })
  const { sent, seen, failures, latencies } = await load.stop()
  const [local, cached] = [await sumOf(both, 'local_allowed'), await sumOf(both, 'limited_cached')]
  for (const one of both) await one.stop()
  await redis.stop()
  console.log(`
${RPS} requests a second on one limit of ${LIMIT}, two gateways
- sent ${sent}, let in ${seen.get('200') ?? 0}, refused ${seen.get('429') ?? 0}, failed ${failures.length}
- let in without Redis ${local}; refused without asking it ${cached}
- latency p50 ${quantile(latencies, 0.5).toFixed(1)} ms, p99 ${quantile(latencies, 0.99).toFixed(1)} ms`)
}

async function measureFault(): Promise<void> {
  const redis = await startRedis()
  const both = await twoGateways(redis, '1000000/365d')
  const requests = both.map(({ publicUrl }) => ({ method: 'GET', url: publicUrl }))
  const load = startLoad({ requests, rps: FAULT_RPS, maxMs: 60_000, isGood, label })
  await pause(2000)
  await redis.kill9()
  await waitFor(async () => (await sumOf(both, 'local_allowed')) > FAULT_RPS, { what: 'local limits' })
  await redis.restart()
  const restarted = performance.now()
  const before = await Promise.all(both.map((one) => decisions(one, 'allowed')))
  await waitFor(async () => {
    const now = await Promise.all(both.map((one) => decisions(one, 'allowed')))
    return now.every((count, i) => count > (before[i] as number))
  })
  const back = performance.now() - restarted
  await pause(1000)
  redis.freeze()
  await pause(2000)
  redis.thaw()
  await pause(1500)
  const local = await sumOf(both, 'local_allowed')
  const { sent, seen, failures, latencies } = await load.stop()
  for (const one of both) await one.stop()
  await redis.stop()
  console.log(`
Redis killed, started again, frozen for 2 s, under ${FAULT_RPS} requests a second
- sent ${sent}, let in ${seen.get('200') ?? 0}, failed ${failures.length}; ${local} counted locally
- both gateways use it again ${Math.round(back)} ms after it answers
- latency p50 ${quantile(latencies, 0.5).toFixed(1)} ms, p99 ${quantile(latencies, 0.99).toFixed(1)} ms, longest ${quantile(latencies, 1).toFixed(0)} ms`)
}

await measureDecisions()
await measureExactness()
await measureFault()
