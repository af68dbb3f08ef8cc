import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startGateway } from '../test/support/gateway.ts'
import { quantile, startLoad } from '../test/support/load.ts'
import { httpServer } from '../test/support/scripted-server.ts'
import { machineLine } from './support.ts'

/**
 * The configuration changes 50 times a second for 20 s under load: how many requests fail, and what the tail looks
 * like beside an undisturbed run of the same length.
 *
 *   node bench/reload.ts [seconds]
 */
const seconds = Number(process.argv[2] ?? 20)
const RPS = 500
const CHANGES_PER_SECOND = 50

const upstream = await httpServer((_request, response) => response.end('x'.repeat(1024)))
const route = (name: string, extra: string) =>
  `  - { name: ${name}, match: { pathPrefix: /${name} }, upstreams: ["http://127.0.0.1:${upstream.port}"]${extra} }\n`
const many = Array.from({ length: 200 }, (_, i) => route(`other-${i}`, '')).join('')
const gateway = await startGateway({
  yaml: 'log: { access: { enabled: false } }',
  routes: { 'fixed.yaml': `routes:\n${many}`, 'hot.yaml': `routes:\n${route('hot', '')}` },
})

function writeHot(i: number): void {
  const file = join(gateway.folder, '.hot.new')
  writeFileSync(file, `routes:\n${route('hot', `, priority: ${i}`)}`)
  renameSync(file, join(gateway.folder, 'routes.d/hot.yaml'))
}

async function run(isDisturbed: boolean) {
  const load = startLoad({
    requests: [
      { method: 'GET', url: `${gateway.publicUrl}/hot/x` },
      { method: 'POST', url: `${gateway.publicUrl}/other-7/x`, body: 'y'.repeat(512) },
    ],
    rps: RPS,
    maxMs: seconds * 1000,
  })
  let changes = 0
  const timer = isDisturbed ? setInterval(() => writeHot(++changes), 1000 / CHANGES_PER_SECOND) : undefined
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000 + 100))
  clearInterval(timer)
  return { report: await load.stop(), changes }
}

const tables = async () => (await gateway.admin<{ current: number }>('/api/tables')).current
await run(false)
const quiet = await run(false)
const before = await tables()
const disturbed = await run(true)
const after = await tables()

console.log(`Reload under load, ${RPS} requests/s for ${seconds} s, 201 routes, ${machineLine()}\n`)
console.log('| run | edits | tables | requests | failed | p50 ms | p99 ms | max ms |')
console.log('|---|---|---|---|---|---|---|---|')
for (const [name, { report, changes }, built] of [
  ['undisturbed', quiet, 0],
  [`edited ${CHANGES_PER_SECOND} times a second`, disturbed, after - before],
] as const) {
  const { latencies: ms } = report
  const row = [quantile(ms, 0.5), quantile(ms, 0.99), ms.at(-1) ?? 0].map((value) => value.toFixed(2))
  console.log(
    `| ${name} | ${changes} | ${built} | ${report.sent} | ${report.failures.length} | ${row.join(' | ')} |`,
  )
}
await gateway.stop()
await upstream.close()
process.exit(0)
