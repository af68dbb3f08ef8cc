import { Headers } from '../src/core/headers.ts'
import { DEFAULT_HEALTH } from '../src/core/health-policy.ts'
import type { BalancePolicy } from '../src/core/route.ts'
import type { LiveUpstream } from '../src/proxy/live-upstream.ts'
import { anInstance, aRouted, aService, aTable, someUpstreams } from '../test/support/exchange.ts'
import { machineLine, median } from './support.ts'

/**
 * What it costs to pick an instance, count the request in and out and note its answer; with ejected ones and zones,
 * which must cost nothing more.
 *
 *   node bench/pick.ts
 */
const ROUNDS = 15
const PICKS = 300_000
const NOBODY: ReadonlySet<string> = new Set()

interface Case {
  readonly kind: Exclude<BalancePolicy['kind'], 'consistent-hash'>
  readonly instances: number
  readonly ejected: number
  readonly zones: boolean
}

/** CPU time, because others use this machine, too. ns. */
async function measure({ kind, instances, ejected, zones }: Case): Promise<string> {
  const service = aService(
    Array.from({ length: instances }, (_, i) =>
      anInstance(`i-${i}`, 8000 + i, zones ? { zone: i % 2 === 0 ? 'a' : 'b' } : {}),
    ),
    {
      balance: { kind },
      health: {
        ...DEFAULT_HEALTH,
        zone: 'prefer',
        outlier: { ...DEFAULT_HEALTH.outlier, connectTimeMs: 600_000 },
      },
    },
  )
  const upstreams = someUpstreams(aTable(service), zones ? { zone: 'a' } : {})
  for (let i = 0; i < ejected; i++) {
    const upstream = upstreams.get('shop', `test/dc1/node/i-${i}`) as LiveUpstream
    upstreams.health.connectFailed(upstream, 'refused', 0)
  }
  const request = {
    routed: aRouted(service),
    tried: NOBODY,
    headers: new Headers([]),
    clientIp: '192.0.2.1',
  }
  const rounds: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.cpuUsage()
    for (let i = 0; i < PICKS; i++) {
      const upstream = upstreams.pick(request) as LiveUpstream
      const mark = upstreams.begin(upstream, 1)
      upstreams.health.answered(upstream, 200, mark)
      upstreams.end(upstream, mark)
    }
    const { user, system } = process.cpuUsage(start)
    rounds.push(((user + system) * 1000) / PICKS)
  }
  await upstreams.close()
  return `${median(rounds).toFixed(0)} ns (best round ${Math.min(...rounds).toFixed(0)})`
}

console.log(machineLine())
for (const kind of ['least-request', 'round-robin'] as const) {
  for (const instances of [3, 10, 50]) {
    for (const [ejected, zones] of [
      [0, false],
      [1, false],
      [0, true],
    ] as const) {
      const text = await measure({ kind, instances, ejected, zones })
      console.log(`${kind}, ${instances} instances, ${ejected} ejected${zones ? ', zones' : ''}: ${text}`)
    }
  }
}
