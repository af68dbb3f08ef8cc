import { ReleaseController } from '../src/canary/controller.ts'
import type { Ramp, ReleaseState } from '../src/canary/release.ts'
import { LocalReleaseStore } from '../src/canary/store.ts'
import { Tally } from '../src/canary/tally.ts'
import type { ReleaseView } from '../src/core/views.ts'
import { startConsul } from '../test/support/consul.ts'
import { releaseGateway, startCatalog, untilAt, viewOf } from '../test/support/release-gateways.ts'
import { machineLine, median } from './support.ts'

/**
 * Releases that lead themselves: how often a canary that is like stable is rolled back, and how soon one with 3 % more
 * errors is.
 *
 *   node bench/ramp.ts [--runs 50] [--no-gateway]
 */
const RPS = 200
/** Of stable, and of a canary that is like it. */
const USUAL_ERRORS = 0.01
const MORE_ERRORS = 0.03
const LOOK_MS = 5000
const MINUTE = 60_000
/** ms; a little slower in one request of a hundred. */
const LATENCY = { usual: 20, slow: 200 }
/** A run that has not ended by then never will. */
const MOST_LOOKS = 5000
const REAL_LIMIT_MS = 2 * MINUTE

const RAMP: Ramp = {
  windows: [],
  steps: [
    { percent: 100, forMs: 10 * MINUTE, minRequests: 500, hold: false },
    { percent: 500, forMs: 30 * MINUTE, minRequests: 2000, hold: false },
    { percent: 2500, forMs: 60 * MINUTE, minRequests: 5000, hold: false },
    { percent: 5000, forMs: 60 * MINUTE, minRequests: 5000, hold: false },
    { percent: 10_000, forMs: 10 * MINUTE, minRequests: 0, hold: false },
  ],
  guard: {
    checks: [
      { kind: 'share', name: 'error-ratio', maxIncrease: 0 },
      { kind: 'latency', name: 'latency-p95', quantile: 0.95, maxRatio: 1.3 },
    ],
    falseAlarm: 0.01,
    minRequests: 200,
    failures: 3,
    onFail: 'rollback',
    contract: 'hold',
  },
}

/** mulberry32: the same runs each time. */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

interface Run {
  readonly state: ReleaseState | undefined
  /** Since the canary got its first request. ms. */
  readonly ms: number
  /** Of the canary. */
  readonly requests: number
}

/** One release through the real controller; only clock and requests are made up. */
async function simulate(ramp: Ramp, canaryErrors: number, seed: number): Promise<Run> {
  const random = randomOf(seed)
  let now = Date.parse('2026-11-25T10:00:00Z')
  const store = new LocalReleaseStore()
  const tally = new Tally('bench', now)
  const abort = new AbortController()
  const controller = new ReleaseController({
    rules: () => [{ name: 'v2', releaseId: 'a', ramp }],
    store,
    tally,
    values: () => ({}),
    breaches: () => [],
    onChanges: () => {},
    onDecision: () => {},
    clock: { now: () => now, monotonic: () => now },
    log: { warn: () => {}, info: () => {} },
    interval: LOOK_MS,
  })
  const watching = store.watch(() => {}, abort.signal)
  const stateOf = async () => (await store.load()).get('v2')?.state
  let requests = 0
  const begun = now
  await controller.look()
  let state = await stateOf()
  for (let i = 0; i < MOST_LOOKS && state?.status !== 'aborted' && state?.status !== 'finished'; i++) {
    for (let n = 0; n < (RPS * LOOK_MS) / 1000; n++) {
      const side = random() * 10_000 < (state?.percent ?? 0) ? 'canary' : 'stable'
      if (side === 'canary') requests++
      const isBad = random() < (side === 'canary' ? canaryErrors : USUAL_ERRORS)
      const ms = (random() < 0.01 ? LATENCY.slow : LATENCY.usual) * (0.5 + random())
      tally.count('v2', side, { isBad, ms, headers: [] })
    }
    now += LOOK_MS
    await controller.look()
    state = await stateOf()
  }
  abort.abort()
  await watching
  return { state, ms: now - begun, requests }
}

const seconds = (ms: number) => `${Math.round(ms / 1000)} s`

async function identical(runs: number): Promise<void> {
  let [alarms, done] = [0, 0]
  for (let seed = 1; seed <= runs; seed++) {
    const { state } = await simulate(RAMP, USUAL_ERRORS, seed)
    if (state?.status === 'aborted') {
      alarms++
      console.log(`run ${seed} was rolled back at step of ${state.history.at(-2)?.percent}: ${state.reason}`)
    }
    if (state?.status === 'finished') done++
  }
  console.log(`a canary like stable, ${runs} runs of the whole ramp: ${alarms} rolled back, ${done} finished`)
}

async function worse(runs: number, ramp: Ramp, title: string): Promise<void> {
  const found: Run[] = []
  for (let seed = 1; seed <= runs; seed++) {
    found.push(await simulate(ramp, USUAL_ERRORS + MORE_ERRORS, 1000 + seed))
  }
  const caught = found.filter(({ state }) => state?.status === 'aborted')
  const [times, requests] = [caught.map(({ ms }) => ms), caught.map((run) => run.requests)]
  const most = Math.max(...caught.map(({ state }) => state?.history.at(-2)?.percent ?? 0))
  console.log(
    `| ${title} | ${caught.length} of ${runs} | ${seconds(median(times))} / ${seconds(Math.max(...times))} | ${median(requests)} / ${Math.max(...requests)} | ${most / 100} % |`,
  )
}

/** The ramp from one step on, which stays. */
const only = (percent: number): Ramp => ({
  ...RAMP,
  steps: [{ percent, forMs: 0, minRequests: 0, hold: true }],
})

/** A gateway in a process of its own, a real Consul, 200 requests a second. */
async function real(): Promise<void> {
  const consul = await startConsul()
  const catalog = await startCatalog(consul, 'bench')
  const random = randomOf(7)
  catalog.isBad = (version) => random() < (version === '2.0' ? USUAL_ERRORS + MORE_ERRORS : USUAL_ERRORS)
  const gateway = await releaseGateway({
    consul,
    service: 'bench',
    interval: '5s',
    rule: `
ramp: { steps: [{ percent: 25, for: 10m }, { percent: 100 }] }
guard: { checks: [{ metric: error-ratio, maxIncrease: 0pp }, { metric: latency-p95, maxRatio: 1.3 }] }`,
  })
  try {
    await untilAt(gateway, { percent: 25 }, 20_000)
    const begun = performance.now()
    let [sent, pending] = [0, 0]
    let release: ReleaseView | undefined
    while (performance.now() - begun < REAL_LIMIT_MS && release?.status !== 'aborted') {
      const due = Math.floor(((performance.now() - begun) * RPS) / 1000)
      for (; sent < due; sent++) {
        pending++
        void fetch(gateway.publicUrl, { headers: { 'x-user': `u-${sent}` } })
          .then((response) => response.arrayBuffer())
          .catch(() => {})
          .finally(() => pending--)
      }
      await new Promise((resolve) => setTimeout(resolve, 20))
      if (sent % RPS < 10) release = (await viewOf(gateway)).release
    }
    const ms = performance.now() - begun
    const counts = release?.history.at(-1)?.counts
    console.log(
      `\nreal gateway, 25 %, ${RPS} rps: ${release?.status} after ${seconds(ms)}, ${sent} requests, ${counts?.canary.total} of them the canary’s (${counts?.canary.bad} bad)\n${release?.reason}`,
    )
  } finally {
    await gateway.stop()
    await catalog.close()
    await consul.stop()
  }
}

const at = process.argv.indexOf('--runs')
const runs = at === -1 ? 50 : Number(process.argv[at + 1])
console.log(
  `${machineLine()}; ${RPS} rps, ${USUAL_ERRORS * 100} % errors usual, a look each ${seconds(LOOK_MS)}\n`,
)
await identical(runs)
console.log(
  `\n${MORE_ERRORS * 100} percentage points more errors, time and requests until rollback, median / most:\n\n| | rolled back | time | requests of the canary | largest share |\n|---|---|---|---|---|`,
)
await worse(runs, RAMP, 'the whole ramp, from 1 %')
for (const percent of [500, 2500, 5000]) await worse(runs, only(percent), `at ${percent / 100} %`)
if (!process.argv.includes('--no-gateway')) await real()
process.exit(0)
