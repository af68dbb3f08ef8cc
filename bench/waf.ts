import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { quantile, startLoad } from '../test/support/load.ts'
import { freePort } from '../test/support/ports.ts'
import { type Bench, machineLine, ROOT, residentMiB, scratch, startNginx, startProgram } from './support.ts'

/**
 * What the `waf` filter costs: requests per second and added latency with one and two workers beside none, in front of
 * the same nginx, in one run of about a minute; ratios are what counts on a shared machine.
 *
 *   node bench/waf.ts [seconds per measurement]
 */
const seconds = Number(process.argv[2] ?? 4)

/** 2 KB as an order looks: 40 objects of three fields. */
const JSON_BODY = JSON.stringify(
  Array.from({ length: 40 }, (_, i) => ({ id: i, name: `some name ${i}`, text: 'a few words' })),
)

async function startSluice(name: string, upstream: string, workers: number): Promise<Bench> {
  const [port, admin] = [await freePort(), await freePort()]
  const folder = scratch()
  writeFileSync(
    join(folder, 'sluice.yaml'),
    `version: 1
listen: { http: { address: "127.0.0.1:${port}" } }
admin: { address: "127.0.0.1:${admin}" }
log: { access: { enabled: false } }
waf: { workers: ${Math.max(1, workers)}, queue: 10000, timeout: 30s }
routes:
  - name: all
    match: { pathPrefix: / }
    filters: [${workers === 0 ? '' : '{ type: waf }'}]
    upstreams: ["${upstream}"]
`,
  )
  const command = [join(ROOT, 'bin/sluice'), 'run', '-c', folder]
  return startProgram(name, command, `http://127.0.0.1:${port}/?q=shoes&page=2`)
}

const folder = scratch()
const head = 'wrk.headers["Host"] = "shop.example.com"\nwrk.headers["User-Agent"] = "Mozilla/5.0"\n'
writeFileSync(join(folder, 'get.lua'), head)
writeFileSync(
  join(folder, 'post.lua'),
  `${head}wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = [==[${JSON_BODY}]==]\n`,
)

/** Requests per second of a closed loop; bad answers are told. */
function throughput(url: string, script: string): number {
  const { stdout } = spawnSync(
    'wrk',
    ['-t1', '-c16', `-d${seconds}s`, '--timeout', '30s', '-s', join(folder, script), url],
    { encoding: 'utf8' },
  )
  const bad = /Non-2xx or 3xx responses: (\d+)/.exec(stdout)
  if (bad !== null) process.stderr.write(`wrk ${url}: ${bad[0]}\n`)
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1] ?? 0)
}

async function latencyAt(
  url: string,
  method: 'GET' | 'POST',
  rps: number,
): Promise<{ p50: number; p99: number }> {
  const headers = { host: 'shop.example.com', 'user-agent': 'Mozilla/5.0' }
  const request =
    method === 'GET'
      ? { method, url, headers }
      : { method, url, headers: { ...headers, 'content-type': 'application/json' }, body: JSON_BODY }
  const load = startLoad({ requests: [request], rps, maxMs: seconds * 1000 })
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  const { latencies } = await load.stop()
  return { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) }
}

const upstreamPort = await freePort()
const upstream = await startNginx(
  'upstream',
  upstreamPort,
  `server { listen 127.0.0.1:${upstreamPort}; location / { default_type text/plain; return 200 "fine"; } }`,
)
const origin = `http://127.0.0.1:${upstreamPort}`
const benches = [
  await startSluice('no WAF', origin, 0),
  await startSluice('WAF, 1 worker', origin, 1),
  await startSluice('WAF, 2 workers', origin, 2),
]

console.log(`WAF, paranoia level 1, ${machineLine()}; ${seconds} s each, 16 connections\n`)
for (const [method, script, rps] of [
  ['GET', 'get.lua', 200],
  ['POST', 'post.lua', 20],
] as const) {
  console.log(
    `${method}${method === 'POST' ? ` of ${JSON_BODY.length} bytes of JSON, 120 fields` : ' with a query'}\n`,
  )
  console.log(`| gateway | requests/s | × no WAF | p50 ms at ${rps}/s | p99 ms | added p99 ms | RSS MiB |`)
  console.log('|---|---|---|---|---|---|---|')
  let [base, baseP99] = [0, 0]
  for (const bench of benches) {
    const rate = throughput(bench.url, script)
    const { p50, p99 } = await latencyAt(bench.url, method, rps)
    if (base === 0) [base, baseP99] = [rate, p99]
    console.log(
      `| ${bench.name} | ${rate.toFixed(0)} | ${(rate / base).toFixed(3)} | ${p50.toFixed(2)} | ${p99.toFixed(2)} | ${(p99 - baseP99).toFixed(2)} | ${residentMiB(bench.pid).toFixed(0)} |`,
    )
  }
  console.log('')
}
for (const bench of [upstream, ...benches]) bench.stop()
process.exit(0)
