import { Contracts } from '../plugins/contracts.ts'
import { watchAll } from '../plugins/exchange-watch.ts'
import { Mirrors } from '../plugins/mirrors.ts'
import { systemClock } from '../src/core/duration.ts'
import { Headers } from '../src/core/headers.ts'
import { type Answer, compareAnswers, compileRules } from '../src/mirror/compare.ts'
import { parseJson } from '../src/mirror/json.ts'
import { Shape } from '../src/mirror/shape.ts'
import { previewTables } from '../src/preview/preview.ts'
import { Recorder, type RecorderOptions } from '../src/preview/recorder.ts'
import { createSlicer, type Slicer } from '../src/routing/sliced.ts'
import { aRouted, aService } from '../test/support/exchange.ts'
import { aRecord } from '../test/support/records.ts'
import { aRoute, path, tableOf } from '../test/support/routing.ts'
import { machineLine, median } from './support.ts'

/**
 * What the recorder, mirrors and contracts cost each request, what a comparison costs, and how long a preview takes and
 * holds the loop.
 *
 *   node bench/shadow.ts
 */
const OPTIONS: RecorderOptions = {
  size: 2000,
  bytes: 4_194_304,
  sample: 1,
  headers: [],
  cookies: [],
  client: 'network',
}

/** CPU time, because others use this machine, too. µs for one call. */
function micros(count: number, work: (i: number) => void): string {
  const rounds: number[] = []
  for (let round = 0; round < 9; round++) {
    const start = process.cpuUsage()
    for (let i = 0; i < count; i++) work(i)
    const { user, system } = process.cpuUsage(start)
    rounds.push((user + system) / count)
  }
  return `${median(rounds).toFixed(2)} µs (best round ${Math.min(...rounds).toFixed(2)})`
}

function recording(own: Partial<RecorderOptions>, target: string, principal?: string): (i: number) => void {
  const recorder = new Recorder({ ...OPTIONS, ...own }, { random: Math.random, salt: 'salt' })
  const headers = new Headers([
    'Host',
    'shop.example.com',
    'Accept',
    '*/*',
    'X-Beta',
    '1',
    'Cookie',
    'a=1; lane=blue',
  ])
  const incoming = { method: 'GET', target, authority: 'shop.example.com', headers }
  const record = aRecord({ principal: principal === undefined ? undefined : { id: principal, kind: 'jwt' } })
  return () => {
    const draft = recorder.begin(incoming)
    if (draft !== undefined) recorder.end(draft, incoming, record)
  }
}

const rows: [string, string][] = []
rows.push(['recorder, off', micros(500_000, recording({ size: 0 }, '/a/b'))])
rows.push(['recorder, a plain GET', micros(300_000, recording({}, '/a/b'))])
rows.push(['recorder, a query of three', micros(200_000, recording({}, '/a/b?page=2&token=abc&sort=name'))])
rows.push(['recorder, with who sent it', micros(200_000, recording({}, '/a/b', 'ann@example.com'))])
rows.push([
  'recorder, with a header and a cookie',
  micros(200_000, recording({ headers: ['x-beta'], cookies: ['lane'] }, '/a/b')),
])

const log = { warn: () => {} }
const watch = watchAll([
  new Mirrors({
    clock: systemClock,
    random: Math.random,
    newId: () => '',
    log,
    onResult() {},
    onDifference() {},
  }).watch,
  new Contracts({ clock: systemClock, random: Math.random, log, onBreach() {} }).watch,
])
const plain = {
  routed: aRouted(aService([])),
  method: 'GET',
  headers: new Headers(['Host', 'a']),
  clientHost: 'a',
  clientIp: '192.0.2.1',
  table: undefined,
  body: { kind: 'none' as const },
}
rows.push(['a route without mirror and contract', micros(2_000_000, () => void watch(plain))])

const items = Array.from({ length: 60 }, (_, i) => ({
  id: i,
  sku: `sku-${i}`,
  name: `An article with a name of some length ${i}`,
  price: { amount: i * 1.5, currency: 'EUR' },
  tags: ['a', 'b', 'c'],
}))
const body = Buffer.from(JSON.stringify({ items, total: items.length, at: '2026-01-01T00:00:00Z' }))
const answer = (bytes: Buffer): Answer => ({
  status: 200,
  headers: new Map([['content-type', 'application/json']]),
  body: bytes,
})
const other = Buffer.from(body.toString().replace('"total":60', '"total":61'))
const rules = compileRules(['$.at', '**.id'], 0)
const size = `${(body.length / 1024).toFixed(1)} KiB`
rows.push([
  `compare two JSON answers of ${size}, two paths ignored`,
  micros(1000, () => void compareAnswers(answer(body), answer(other), rules)),
])
const shape = new Shape({ maxDepth: 8, maxNodes: 500 })
rows.push([
  `learn from a JSON answer of ${size}`,
  micros(1000, () => shape.add(parseJson(body.toString()) ?? null)),
])

const routes = Array.from({ length: 10_000 }, (_, i) =>
  aRoute(`r${i}`, { hosts: [`host-${i % 1000}.example.com`], path: path(`prefix /p${i}`) }),
)
const [before, after] = [await tableOf(routes), await tableOf(routes.slice(0, 9900))]
const requests = Array.from({ length: 10_000 }, (_, i) => ({
  at: i,
  method: 'GET',
  scheme: 'http' as const,
  authority: `host-${i % 1000}.example.com`,
  target: `/p${i}/x?page=2`,
  headers: {},
  client: '192.0.2.0',
  clientKey: 'client-1',
  status: 200,
}))
const filters = { before: { refusedBy: () => undefined }, after: { refusedBy: () => undefined } }
/** A slicer that notes the longest slice in CPU time: on a busy machine the clock runs on while others work. ms. */
function measuredSlicer(): { slicer: Slicer; longest(): number } {
  const inner = createSlicer()
  const cpuMs = () => {
    const { user, system } = process.threadCpuUsage()
    return (user + system) / 1000
  }
  let [since, longest] = [cpuMs(), 0]
  const pause = () => {
    const turn = inner.pause()
    if (turn === undefined) return undefined
    longest = Math.max(longest, cpuMs() - since)
    return turn.then(() => {
      since = cpuMs()
    })
  }
  return { slicer: { pause }, longest: () => longest }
}

const runs: { ms: number; heldMs: number }[] = []
for (let i = 0; i < 9; i++) {
  const { slicer, longest } = measuredSlicer()
  const start = process.cpuUsage()
  await previewTables({ before, after, requests, maxExamples: 3, filters, slicer })
  const { user, system } = process.cpuUsage(start)
  runs.push({ ms: (user + system) / 1000, heldMs: longest() })
}
rows.push([
  'preview of 10,000 requests over two tables of 10,000 routes',
  `${median(runs.map(({ ms }) => ms)).toFixed(0)} ms, the loop held at most ${median(runs.map(({ heldMs }) => heldMs)).toFixed(1)} ms at a time`,
])

console.log(`Recorder, mirror, contract, preview; CPU in this process, ${machineLine()}\n`)
console.log('| | |')
console.log('|---|---|')
for (const [name, value] of rows) console.log(`| ${name} | ${value} |`)
process.exit(0)
