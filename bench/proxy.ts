import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { quantile, startLoad } from '../test/support/load.ts'
import { freePort } from '../test/support/ports.ts'
import {
  type Bench,
  cpuSeconds,
  machineLine,
  median,
  ROOT,
  residentMiB,
  scratch,
  startNginx,
  startProgram,
  wrk,
} from './support.ts'

/**
 * CPU per request and added latency of Sluice beside nginx and bare @fastify/http-proxy, all in front of the
 * same nginx upstream, in turns in one run; ratios are what counts on a shared machine.
 *
 *   node bench/proxy.ts [seconds per round] [rounds]
 */
const seconds = Number(process.argv[2] ?? 4)
const rounds = Number(process.argv[3] ?? 5)
const BODY = 'x'.repeat(1024)

async function startSluice(name: string, upstream: string, filters: string): Promise<Bench> {
  const [port, admin] = [await freePort(), await freePort()]
  const folder = scratch()
  writeFileSync(
    join(folder, 'sluice.yaml'),
    `version: 1
listen: { http: { address: "127.0.0.1:${port}" } }
admin: { address: "127.0.0.1:${admin}" }
log: { access: { enabled: ${filters !== ''} } }
routes:
  - name: all
    match: { pathPrefix: / }
    filters: [${filters}]
    upstreams: ["${upstream}"]
`,
  )
  const command = [join(ROOT, 'bin/sluice'), 'run', '-c', folder]
  return startProgram(name, command, `http://127.0.0.1:${port}/`)
}

const upstreamPort = await freePort()
const upstream = await startNginx(
  'upstream',
  upstreamPort,
  `server { listen 127.0.0.1:${upstreamPort}; location / { default_type text/plain; return 200 "${BODY}"; } }`,
)
const nginxPort = await freePort()
const classicPort = await freePort()
const origin = `http://127.0.0.1:${upstreamPort}`
const benches = [
  await startNginx(
    'nginx',
    nginxPort,
    `upstream u { server 127.0.0.1:${upstreamPort}; keepalive 64; }
  server { listen 127.0.0.1:${nginxPort}; location / { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ""; } }`,
  ),
  await startProgram(
    '@fastify/http-proxy',
    [process.execPath, join(ROOT, 'bench/http-proxy.ts'), String(classicPort), origin],
    `http://127.0.0.1:${classicPort}/`,
  ),
  await startSluice('sluice', origin, ''),
  await startSluice(
    'sluice, full chain',
    origin,
    '{ type: request-id }, { type: ip-deny, networks: [192.0.2.0/24] }, { type: cors, origins: ["https://a.example"] }, { type: security-headers, preset: api }, { type: headers, response: { set: { x-a: b } } }',
  ),
]

const samples = new Map(
  benches.map((b) => [b.name, { cpu: [] as number[], user: [] as number[], rps: [] as number[] }]),
)
for (const bench of benches) wrk(bench.url, { seconds: 2, connections: 32 })
for (let round = 0; round < rounds; round++) {
  for (const bench of benches) {
    const before = cpuSeconds(bench.pid)
    const { requests, rps } = wrk(bench.url, { seconds, connections: 32 })
    const after = cpuSeconds(bench.pid)
    const user = ((after.user - before.user) / requests) * 1e6
    const system = ((after.system - before.system) / requests) * 1e6
    const sample = samples.get(bench.name)
    sample?.cpu.push(user + system)
    sample?.user.push(user)
    sample?.rps.push(rps)
  }
}

const nginxCpu = median(samples.get('nginx')?.cpu ?? [])
console.log(
  `CPU per request, ${machineLine()}; ${rounds} rounds of ${seconds} s, 32 connections, 1 KiB answers; medians\n`,
)
console.log('| proxy | CPU µs/request | of it user | × nginx | requests/s | RSS MiB |')
console.log('|---|---|---|---|---|---|')
for (const bench of benches) {
  const { cpu, user, rps } = samples.get(bench.name) as { cpu: number[]; user: number[]; rps: number[] }
  console.log(
    `| ${bench.name} | ${median(cpu).toFixed(1)} | ${median(user).toFixed(1)} | ${(median(cpu) / nginxCpu).toFixed(2)} | ${median(rps).toFixed(0)} | ${residentMiB(bench.pid).toFixed(0)} |`,
  )
}

console.log('\nLatency at 1,000 requests/s (open loop), ms\n')
console.log('| target | p50 | p99 | added p99 |')
console.log('|---|---|---|---|')
let direct = 0
for (const { name, url } of [{ name: 'upstream, direct', url: `${origin}/` }, ...benches]) {
  const load = startLoad({ requests: [{ method: 'GET', url }], rps: 1000, maxMs: 8000 })
  await new Promise((resolve) => setTimeout(resolve, 8000))
  const { latencies } = await load.stop()
  const p99 = quantile(latencies, 0.99)
  if (direct === 0) direct = p99
  console.log(
    `| ${name} | ${quantile(latencies, 0.5).toFixed(2)} | ${p99.toFixed(2)} | ${(p99 - direct).toFixed(2)} |`,
  )
}
for (const bench of [upstream, ...benches]) bench.stop()
process.exit(0)
