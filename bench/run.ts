import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { ROOT } from './support.ts'

/**
 * `npm run bench [name …]`: installs what the benchmarks need, then runs all of them, or the named ones. Each is
 * bounded in time; together they take about eight minutes. Figures of a shared machine mean something only as
 * ratios to the baseline in the same run.
 */
const BENCHES: Readonly<Record<string, readonly string[]>> = {
  routing: ['--expose-gc', 'bench/routing.ts'],
  large: ['bench/large.ts'],
  proxy: ['bench/proxy.ts'],
  reload: ['bench/reload.ts'],
  propagation: ['bench/propagation.ts', '40'],
  recovery: ['bench/recovery.ts'],
}

const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !(name in BENCHES))
if (unknown.length > 0) {
  console.error(`no benchmark "${unknown.join('", "')}"; there are: ${Object.keys(BENCHES).join(', ')}`)
  process.exit(2)
}
for (const script of ['install-servers.sh', 'install-bench.sh']) {
  const { status } = spawnSync('bash', [join(ROOT, 'scripts', script)], { stdio: 'inherit' })
  if (status !== 0) process.exit(1)
}
for (const name of asked.length === 0 ? Object.keys(BENCHES) : asked) {
  console.log(`\n## ${name}\n`)
  const { status } = spawnSync(process.execPath, [...(BENCHES[name] as string[])], {
    cwd: ROOT,
    stdio: 'inherit',
    timeout: 8 * 60_000,
  })
  if (status !== 0) process.exit(1)
}
