import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { parsePlan } from '../src/rollcheck/plan-file.ts'
import type { Report } from '../src/rollcheck/report.ts'
import { formatReport, lossClasses } from '../src/rollcheck/report-text.ts'
import { runRollcheck } from '../src/rollcheck/run.ts'
import { startConsul, startConsulCluster } from '../test/support/consul.ts'
import { type GatewayProcess, startGateway } from '../test/support/gateway.ts'
import { freePort } from '../test/support/ports.ts'
import { waitFor } from '../test/support/wait.ts'
import { machineLine, ROOT, scratch } from './support.ts'

/**
 * The proof of the first promise: a mixed load (GET, POST, slow stream, upload, WebSocket) at a steady rate while
 * three instances roll five times; the same with SIGKILL; the same while the leader of three Consul servers is
 * killed; and two gateways rolled behind a balancer.
 *
 *   node bench/rolling.ts [--requests 100000] [--rate 300] [--rounds 5] [--only roll,crash,leader,gateways]
 */
const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '100000' },
    rate: { type: 'string', default: '300' },
    rounds: { type: 'string', default: '5' },
    only: { type: 'string', default: 'roll,crash,leader,gateways' },
  },
})
const requests = Number(values.requests)
const rate = Number(values.rate)
const rounds = Number(values.rounds)
const only = new Set(values.only.split(','))
/** The rolls are spread over the whole load: an instance takes about 4 s of its own to be replaced. */
const pauseMs = Math.max(0, Math.round(((requests / rate) * 900) / (rounds * 3) - 4500))

const ROUTES = { 'shop.yaml': 'routes: [{ name: shop, match: { pathPrefix: / }, service: shop }]' }
const SERVICE = join(ROOT, 'examples/rolling/service.ts')
const LOAD = `load:
  rate: ${rate}
  count: ${requests}
  requests:
    - { name: GET, weight: 65, path: /items/7, expect: { status: 200, bodyIncludes: '"item":"7"' } }
    - { name: POST with body, weight: 20, method: POST, path: /orders, size: 2KiB, expect: { status: 201 } }
    - { name: slow stream, weight: 5, kind: stream, path: "/stream?chunks=8&ms=100", chunks: 8, interval: 100ms, expect: { bytes: 8192 } }
    - { name: upload, weight: 5, method: PUT, path: /upload, size: 64KiB, chunks: 8, interval: 50ms }
    - { name: WebSocket, weight: 5, kind: websocket, path: /ws, messages: 8, interval: 150ms }
`

interface Case {
  readonly name: string
  readonly report: Report
}

function plan(folder: string, yaml: string) {
  return parsePlan(join(folder, 'plan.yaml'), `version: 1\n${LOAD}${yaml}`, {})
}

async function run(name: string, folder: string, yaml: string): Promise<Case> {
  let shown = 0
  const report = await runRollcheck({
    plan: plan(folder, yaml),
    folder,
    onProgress: ({ elapsedMs, sent, lost, status }) => {
      if (elapsedMs - shown < 15_000) return
      shown = elapsedMs
      process.stderr.write(
        `${name}: ${Math.round(elapsedMs / 1000)} s, ${sent} sent, ${lost} lost; ${status}\n`,
      )
    },
  })
  writeFileSync(join(folder, 'report.json'), JSON.stringify(report))
  if (report.result !== 'ok') process.stderr.write(`\n### ${name}\n\n${formatReport(report)}\n\n`)
  return { name, report }
}

/** Three instances of examples/rolling/service.ts that register at `agent`. */
function serviceRoll(gateway: GatewayProcess, agent: string, signal = 'SIGTERM'): string {
  return `target: ${gateway.publicUrl}
admin: ["${gateway.adminUrl}"]
ledger: ledger-*
roll:
  service: shop
  rounds: ${rounds}
  pauseBetween: ${pauseMs}ms
  signal: ${signal}
  start: [node, ${SERVICE}, --port, "{port}", --version, "{version}"]
  env: { CONSUL_HTTP_ADDR: "${agent}", LEDGER: "ledger-{n}" }
`
}

async function rollCase(name: string, signal: 'SIGTERM' | 'SIGKILL'): Promise<Case> {
  const consul = await startConsul()
  const gateway = await startGateway({
    yaml: `registries: { consul: { type: consul, url: "${consul.url}" } }`,
    routes: ROUTES,
  })
  try {
    return await run(name, scratch(), serviceRoll(gateway, consul.url, signal))
  } finally {
    await gateway.stop()
    await consul.stop()
  }
}

async function leaderCase(name: string): Promise<Case> {
  const cluster = await startConsulCluster()
  const [follower] = await cluster.followers()
  const url = follower?.url as string
  const gateway = await startGateway({
    yaml: `registries: { consul: { type: consul, url: "${url}" } }`,
    routes: ROUTES,
  })
  try {
    const folder = scratch()
    const running = run(name, folder, serviceRoll(gateway, url))
    // In the middle of the load, and so of a roll.
    const timer = setTimeout(() => void cluster.killLeader(), (requests / rate) * 450)
    return await running.finally(() => clearTimeout(timer))
  } finally {
    await gateway.stop()
    await cluster.stop()
  }
}

async function gatewaysCase(name: string): Promise<Case> {
  const consul = await startConsul()
  const folder = scratch()
  const gateways: string[] = []
  for (const n of [1, 2]) {
    const [port, admin] = [await freePort(), await freePort()]
    const home = join(folder, `gateway-${n}`)
    mkdirSync(home)
    writeFileSync(
      join(home, 'sluice.yaml'),
      `version: 1
listen: { http: { address: "127.0.0.1:${port}" } }
admin: { address: "127.0.0.1:${admin}" }
registries: { consul: { type: consul, url: "${consul.url}" } }
routes: [{ name: shop, match: { pathPrefix: / }, service: shop }]
`,
    )
    const start = `[${join(ROOT, 'bin/sluice')}, run, -c, ${home}]`
    gateways.push(`{ url: "http://127.0.0.1:${port}", admin: "http://127.0.0.1:${admin}", start: ${start} }`)
  }
  const services = await startServices(consul.url, folder)
  try {
    const yaml = `ledger: ledger-*
roll:
  rounds: ${rounds}
  pauseBetween: ${pauseMs}ms
  gateways: [${gateways.join(', ')}]
`
    return await run(name, folder, yaml)
  } finally {
    for (const stop of services) stop()
    await consul.stop()
  }
}

/** Three instances that stay. */
async function startServices(agent: string, folder: string): Promise<(() => void)[]> {
  const stops: (() => void)[] = []
  for (const n of [1, 2, 3]) {
    const port = await freePort()
    const child = spawn(process.execPath, [SERVICE, '--port', String(port)], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, CONSUL_HTTP_ADDR: agent, LEDGER: join(folder, `ledger-${n}`) },
    })
    stops.push(() => void child.kill('SIGKILL'))
    await waitFor(async () => (await fetch(`http://127.0.0.1:${port}/items/1`)).ok)
  }
  return stops
}

function row({ name, report }: Case): string {
  const { counts, ledger } = report
  const worst = Math.max(...report.requests.map(({ p99Ms }) => p99Ms))
  const drains = report.instances.flatMap(({ steps }) => {
    const [told, exited] = [steps['told to stop'], steps.exited]
    return told === undefined || exited === undefined ? [] : [exited - told]
  })
  const exits = drains.length === 0 ? '-' : `${(Math.max(...drains) / 1000).toFixed(1)} s`
  const cells = [
    report.sent.toLocaleString('en-US'),
    drains.length,
    counts.lost,
    counts.duplicated,
    counts.lostWrites,
    ledger === undefined ? '-' : counts.executedButFailed,
    counts.late,
    worst.toFixed(0),
    exits,
  ]
  return `| ${name} | ${cells.join(' | ')} |`
}

const cases: Case[] = []
if (only.has('roll')) cases.push(await rollCase(`3 instances, ${rounds} rounds, SIGTERM`, 'SIGTERM'))
if (only.has('crash')) cases.push(await rollCase(`the same, SIGKILL`, 'SIGKILL'))
if (only.has('leader')) cases.push(await leaderCase('SIGTERM, Consul leader killed meanwhile'))
if (only.has('gateways')) cases.push(await gatewaysCase(`2 gateways, ${rounds} rounds, SIGTERM`))

console.log(`Rolling releases under ${rate} requests/s, ${machineLine()}\n`)
console.log(
  '| case | requests | restarts | lost | duplicated | lost writes | executed, client saw failure | late > 1 s | worst p99 ms | slowest exit |',
)
console.log('|---|---|---|---|---|---|---|---|---|---|')
for (const one of cases) console.log(row(one))
for (const { name, report } of cases) {
  const classes = [...lossClasses(report.lost)].map(([text, count]) => `${count} × ${text}`)
  if (classes.length > 0) console.log(`\n${name}, lost:\n\n- ${classes.join('\n- ')}`)
}
process.exit(0)
