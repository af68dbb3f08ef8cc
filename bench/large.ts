import { get } from 'node:http'
import { startGateway } from '../test/support/gateway.ts'
import { waitFor } from '../test/support/wait.ts'
import { machineLine, median, residentMiB } from './support.ts'

/**
 * A whole gateway with 10,000 routes over 1,000 hosts in 100 files: how long it takes to be ready, how much memory
 * it needs, how long until an edited file is live, and how long the loop that serves clients stands still meanwhile.
 *
 *   node bench/large.ts
 */
const FILES = 100
const ROUTES_PER_FILE = 100

function file(k: number, body: string): string {
  const lines = Array.from({ length: ROUTES_PER_FILE }, (_, i) => {
    const host = `host-${k * 10 + Math.floor(i / 10)}.example.com`
    return `  - { name: r-${k}-${i}, match: { hosts: [${host}], pathPrefix: /a-${i % 10} }, respond: { body: "${body}" } }\n`
  })
  return `routes:\n${lines.join('')}`
}

const routes = Object.fromEntries(Array.from({ length: FILES }, (_, k) => [`f-${k}.yaml`, file(k, 'first')]))
const begun = performance.now()
const gateway = await startGateway({ routes, yaml: 'drain: { acceptGrace: 0, timeout: 1s }' })
const readyMs = performance.now() - begun
await new Promise((resolve) => setTimeout(resolve, 12_000))
const rssReady = residentMiB(gateway.pid)

const headers = { host: 'host-0.example.com' }
const ask = () =>
  new Promise<string>((resolve, reject) => {
    get(`${gateway.publicUrl}/a-0`, { headers }, (answer) => {
      let body = ''
      answer.on('data', (chunk) => {
        body += chunk
      })
      answer.on('end', () => resolve(body))
    }).on('error', reject)
  })

const liveMs: number[] = []
const heldMs: number[] = []
const lag = async () => {
  const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
  return Number(/^nodejs_eventloop_lag_max_seconds (\S+)$/m.exec(metrics)?.[1] ?? 0) * 1000
}
for (let i = 0; i < 7; i++) {
  await lag()
  const start = performance.now()
  gateway.writeRoutes('f-0.yaml', file(0, `edit-${i}`))
  await waitFor(async () => (await ask()) === `edit-${i}`, { timeoutMs: 30_000 })
  liveMs.push(performance.now() - start)
  // The monitor itself turns every 10 ms; what is beyond is ours.
  heldMs.push(Math.max(0, (await lag()) - 10))
}
// The reading process ends after 10 s without work.
await new Promise((resolve) => setTimeout(resolve, 12_000))
const rssAfter = residentMiB(gateway.pid)

console.log(
  `A gateway with ${FILES * ROUTES_PER_FILE} routes over 1,000 hosts in ${FILES} files, ${machineLine()}\n`,
)
console.log('| | |')
console.log('|---|---|')
console.log(`| start until ready | ${(readyMs / 1000).toFixed(1)} s |`)
console.log(`| RSS 12 s later | ${rssReady.toFixed(0)} MiB |`)
console.log(`| one file saved until it is live (median of 7) | ${median(liveMs).toFixed(0)} ms |`)
console.log(
  `| the serving loop held meanwhile, at most (median, worst) | ${median(heldMs).toFixed(1)} ms, ${Math.max(...heldMs).toFixed(1)} ms |`,
)
console.log(`| RSS 12 s after the edits | ${rssAfter.toFixed(0)} MiB |`)
await gateway.stop()
process.exit(0)
