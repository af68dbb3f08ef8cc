import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { ROOT } from './support.ts'

/**
 * `npm run bench [name …]`: installs what the benchmarks need, then runs all of them, or the named ones. Each is
 * bounded in time; together they take about ten minutes. Figures of a shared machine mean something only as
 * ratios to the baseline in the same run.
 */
const BENCHES: Readonly<Record<string, readonly string[]>> = {
  routing: ['--expose-gc', 'bench/routing.ts'],
  canary: ['bench/canary.ts'],
  ramp: ['bench/ramp.ts'],
  grey: ['bench/grey.ts'],
  pick: ['bench/pick.ts'],
  large: ['bench/large.ts'],
  proxy: ['bench/proxy.ts'],
  waf: ['bench/waf.ts'],
  filters: ['bench/filters.ts'],
  issuer: ['bench/issuer.ts'],
  shadow: ['bench/shadow.ts'],
  reload: ['bench/reload.ts'],
  propagation: ['bench/propagation.ts', '40'],
  'registry-load': ['bench/registry-load.ts'],
  recovery: ['bench/recovery.ts'],
  concurrency: ['bench/concurrency.ts'],
  rolling: ['bench/rolling.ts'],
  limits: ['bench/limits.ts'],
  traffic: ['bench/traffic.ts'],
}

// Flags and what follows them go to the benchmark: `npm run bench rolling -- --requests 5000`.
const flag = process.argv.findIndex((word, i) => i > 1 && word.startsWith('--'))
const asked = process.argv.slice(2, flag === -1 ? undefined : flag)
const flags = flag === -1 ? [] : process.argv.slice(flag)
const unknown = asked.filter((name) => !(name in BENCHES))
if (unknown.length > 0) {
  console.error(`no benchmark "${unknown.join('", "')}"; there are: ${Object.keys(BENCHES).join(', ')}`)
  process.exit(2)
}
for (const script of ['install-servers.sh', 'install-bench.sh']) {
  const { status } = spawnSync('bash', [join(ROOT, 'scripts', script)], { stdio: 'inherit' })
  if (status !== 0) process.exit(1)
}
// 100,000 requests in each of four cases take half an hour: only when it is named.
const usual = Object.keys(BENCHES).filter((name) => name !== 'rolling')
for (const name of asked.length === 0 ? usual : asked) {
  console.log(`\n## ${name}\n`)
  const { status } = spawnSync(process.execPath, [...(BENCHES[name] as string[]), ...flags], {
    cwd: ROOT,
    stdio: 'inherit',
    timeout: name === 'rolling' ? 40 * 60_000 : 8 * 60_000,
  })
  if (status !== 0) process.exit(1)
}
