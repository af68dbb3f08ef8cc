import { startConsul } from '../test/support/consul.ts'
import { type ServiceProcess, startGateway, startService } from '../test/support/gateway.ts'
import { quantile, startLoad } from '../test/support/load.ts'
import { waitFor } from '../test/support/wait.ts'
import { machineLine } from './support.ts'

/**
 * How long until a fault is behind us, under 200 requests a second: from `kill -9` of an instance until it is out of
 * rotation, and from the answer of an agent that lost its data until all instances are back in the registry.
 *
 *   node bench/recovery.ts [crashes] [wipes]
 */
const crashes = Number(process.argv[2] ?? 20)
const wipes = Number(process.argv[3] ?? 5)
const RPS = 200
const INSTANCES = 6

const consul = await startConsul()
const services: ServiceProcess[] = []
const startOne = async () => {
  services.push(await startService({ registry: consul.url, name: 'shop' }))
}
for (let i = 0; i < INSTANCES; i++) await startOne()
const gateway = await startGateway({
  yaml: `registries: { consul: { type: consul, url: "${consul.url}" } }
log: { access: { enabled: false } }`,
  routes: { 'shop.yaml': 'routes: [{ name: shop, match: { pathPrefix: / }, service: shop }]' },
})

interface Shop {
  readonly available: number
  readonly instances: readonly { readonly use: string; readonly state: string }[]
}
const shop = () => gateway.admin<Shop>('/api/services/shop')
const passing = async () => (await consul.get<unknown[]>('/v1/health/service/shop?passing')).length
const allIn = () =>
  waitFor(async () => (await shop()).available === INSTANCES, { timeoutMs: 60_000, what: 'all in rotation' })
await allIn()

const load = startLoad({
  requests: [{ method: 'GET', url: `${gateway.publicUrl}/cart` }],
  rps: RPS,
  maxMs: 8 * 60_000,
})

const out: number[] = []
for (let i = 0; i < crashes; i++) {
  const victim = services.shift() as ServiceProcess
  const begun = performance.now()
  await victim.kill9()
  await waitFor(async () => (await shop()).instances.some(({ use }) => use !== 'rotation'), {
    what: 'the dead instance out of rotation',
  })
  out.push(performance.now() - begun)
  await startOne()
  await allIn()
}

const back: number[] = []
const least: number[] = []
for (let i = 0; i < wipes; i++) {
  await consul.restart({ wipe: true })
  const begun = performance.now()
  let fewest = INSTANCES
  await waitFor(
    async () => {
      const { available, instances } = await shop()
      fewest = Math.min(fewest, available)
      const live = instances.filter(({ use, state }) => use === 'rotation' && state === 'passing')
      return live.length === INSTANCES && (await passing()) === INSTANCES
    },
    { timeoutMs: 60_000, what: 'all registered again' },
  )
  back.push(performance.now() - begun)
  least.push(fewest)
}
const report = await load.stop()

const row = (name: string, list: readonly number[], unit: string, digits: number) => {
  const sorted = [...list].sort((a, b) => a - b)
  const cells = [quantile(sorted, 0.5), sorted.at(-1) ?? 0].map((value) => `${value.toFixed(digits)} ${unit}`)
  console.log(`| ${name} | ${list.length} | ${cells.join(' | ')} |`)
}
console.log(`Recovery, ${INSTANCES} instances, ${RPS} requests/s, ${machineLine()}\n`)
console.log('| fault | times | median | worst |')
console.log('|---|---|---|---|')
row('`kill -9` of an instance until it is out of rotation', out, 'ms', 0)
row(
  'agent restarted without data: from its first answer until all instances are back in Consul and live in the table',
  back.map((ms) => ms / 1000),
  's',
  1,
)
row('meanwhile in rotation, at least', least, 'instances', 0)
console.log(`\n${report.sent} requests meanwhile, ${report.failures.length} failed.`)
for (const failure of report.failures.slice(0, 5)) console.log(JSON.stringify(failure))

await gateway.stop()
await Promise.all(services.map((service) => service.kill9()))
await consul.stop()
process.exit(0)
