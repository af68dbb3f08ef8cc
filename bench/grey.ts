import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Agent, request } from 'undici'
import type { CanaryView } from '../src/core/views.ts'
import type { ContractView } from '../src/mirror/contract-book.ts'
import type { MirrorView } from '../src/mirror/mirror-state.ts'
import { startGateway } from '../test/support/gateway.ts'
import { freePort } from '../test/support/ports.ts'
import { waitFor } from '../test/support/wait.ts'
import { cpuMicros, machineLine, median, startNginx } from './support.ts'

/**
 * CPU of everything that a release needs on the data path: one gateway, a service without any of it and one with all, with
 * `--parts` one for each part, too; asked in turns, forwards and backwards.
 *
 *   node bench/grey.ts [--parts] [--rounds 40]
 */
const { values } = parseArgs({
  options: { parts: { type: 'boolean', default: false }, rounds: { type: 'string', default: '40' } },
})
const rounds = Number(values.rounds)
/** Short turns: what else runs on the machine hits both sides alike. */
const REQUESTS = 1000
const CONNECTIONS = 16
/** Users that take turns: a tenth of them gets the canary. */
const USERS = 1000

interface Case {
  readonly name: string
  /** Further keys of its service and its route. */
  readonly service?: string
  readonly route?: string
  readonly hasCanary?: boolean
}

const NO_HEALTH =
  'outlier: { connectFailures: 0, localFailures: 0, gatewayErrors: 0, serverErrors: 0, successRate: { stdevs: 0 }, failurePercent: { percent: 0 } }'
const MIRROR = 'mirror: { service: next, percent: 1, compare: {} }'
const CONTRACT = 'contract: { sample: 0.01 }'
/** Each of them alone. */
const PARTS: readonly Case[] = [
  { name: 'canary rule with ramp and guard', service: NO_HEALTH, hasCanary: true },
  { name: 'mirror of 1 %, compared', service: NO_HEALTH, route: MIRROR },
  { name: 'contract, 1 % looked at', service: NO_HEALTH, route: CONTRACT },
  { name: 'outlier ejection' },
  { name: 'circuit breaker', service: `${NO_HEALTH}, breaker: {}` },
  { name: 'zones', service: `${NO_HEALTH}, zone: prefer` },
]
const cases: readonly Case[] = [
  { name: 'plain', service: NO_HEALTH },
  ...(values.parts ? PARTS : []),
  {
    name: 'all of it',
    service: 'breaker: {}, zone: prefer',
    route: `${MIRROR}, ${CONTRACT}`,
    hasCanary: true,
  },
]
const idOf = (index: number) => `s${index}`

const items = Array.from({ length: 12 }, (_, i) => ({
  id: i,
  sku: `sku-${i}`,
  name: 'An article',
  price: i * 1.5,
}))
const body = JSON.stringify({ items, total: items.length, note: 'x'.repeat(300) })

const ports = [await freePort(), await freePort(), await freePort()]
const listens = ports.map((port) => `listen 127.0.0.1:${port};`).join(' ')
const upstream = await startNginx(
  'upstream',
  ports[0] as number,
  `server { ${listens} location / { default_type application/json; return 200 '${body}'; } }`,
)
const instances = [
  { version: '1.0', zone: 'a' },
  { version: '2.0', zone: 'a' },
  { version: '1.0', zone: 'b' },
].map((own, i) => ({ url: `http://127.0.0.1:${ports[i]}`, ...own }))
const list = Object.fromEntries([...cases.map((_, i) => idOf(i)), 'next'].map((name) => [name, instances]))

const keys = (own: string | undefined) => (own === undefined ? '' : `, ${own}`)
const gateway = await startGateway({
  yaml: `zone: a
log: { access: { enabled: false } }
registries: { list: { type: file, path: instances.json } }
services:
${cases.map(({ service }, i) => `  ${idOf(i)}: { balance: round-robin${keys(service)} }`).join('\n')}
  next: {}
routes:
${cases.map(({ route }, i) => `  - { name: ${idOf(i)}, match: { pathPrefix: /${idOf(i)} }, service: ${idOf(i)}${keys(route)} }`).join('\n')}
canaries:
${cases
  .flatMap(({ hasCanary }, i) => (hasCanary === true ? [idOf(i)] : []))
  .map(
    (id) => `  - name: ${id}
    service: ${id}
    canary: { version: "2.*" }
    key: [header.x-user]
    match: [{ name: testers, header: { x-side: canary }, side: canary }]
    ramp: { steps: [{ percent: 10, hold: true }] }
    guard: { checks: [{ metric: error-ratio, maxIncrease: 1pp }, { metric: latency-p95, maxRatio: 1.3 }] }`,
  )
  .join('\n')}
`,
  prepare: (folder) => writeFileSync(join(folder, 'instances.json'), JSON.stringify({ services: list })),
})
await waitFor(async () => {
  const { canaries } = await gateway.admin<{ canaries: readonly CanaryView[] }>('/api/canaries')
  return canaries.every(({ percent }) => percent === 10)
})

const agent = new Agent({ connections: CONNECTIONS })
let user = 0
async function ask(url: string, count: number): Promise<void> {
  let left = count
  const work = async () => {
    while (left-- > 0) {
      const headers = { 'x-user': `user-${user++ % USERS}` }
      const answer = await request(url, { dispatcher: agent, headers })
      await answer.body.dump()
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, work))
}
const copies = async () => {
  const { mirrors } = await gateway.admin<{ mirrors: readonly MirrorView[] }>('/api/mirror')
  return mirrors
}

const samples = new Map(cases.map(({ name }) => [name, [] as number[]]))
for (let round = -5; round < rounds; round++) {
  const turns = [...cases.entries()]
  for (const [i, { name }] of round % 2 === 0 ? turns : turns.reverse()) {
    const before = cpuMicros(gateway.pid)
    await ask(`${gateway.publicUrl}/${idOf(i)}`, REQUESTS)
    await waitFor(async () => (await copies()).every(({ inFlight }) => inFlight === 0))
    // The first ones warm up.
    if (round >= 0) samples.get(name)?.push((cpuMicros(gateway.pid) - before) / REQUESTS)
  }
}
const bare = samples.get('plain') ?? []
console.log(
  `${machineLine()}; ${rounds} rounds of ${REQUESTS} requests each in turns, ${CONNECTIONS} connections, ${body.length} bytes of JSON; medians, × is within a round\n`,
)
console.log('| on | CPU µs/request | × plain | least µs | × plain |')
console.log('|---|---|---|---|---|')
const least = Math.min(...bare)
for (const [name, all] of samples) {
  const ratio = median(all.map((used, i) => used / (bare[i] as number)))
  const best = Math.min(...all)
  console.log(
    `| ${name} | ${median(all).toFixed(1)} | ${ratio.toFixed(2)} | ${best.toFixed(1)} | ${(best / least).toFixed(2)} |`,
  )
}
const last = idOf(cases.length - 1)
const { contracts } = await gateway.admin<{ contracts: readonly ContractView[] }>('/api/contracts')
const { release } = await gateway.admin<CanaryView>(`/api/canaries/${last}`)
const mirrored = (await copies()).find(({ mirror }) => mirror === last)
const looked = contracts.find(({ route }) => route === last)?.versions
const { canary, stable } = release?.counts ?? {}
console.log(
  `\nall of it: ${canary?.total} requests of the canary, ${stable?.total} of stable; ${mirrored?.report?.compared} copies compared; ${looked?.reduce((sum, { answers }) => sum + answers, 0)} answers looked at`,
)
upstream.stop()
await gateway.stop()
process.exit(0)
