import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { DynamicConfig, RouteSpec } from '../src/core/route.ts'
import type { Instance, RegistryState } from '../src/core/types.ts'
import { compileTable } from '../src/routing/compile.ts'
import { decide } from '../src/routing/decide.ts'
import type { RequestShape, Table } from '../src/routing/table.ts'
import { aRoute, configOf } from '../test/support/routing.ts'
import { machineLine, median } from './support.ts'

/**
 * 10,000 routes over 1,000 hosts: how long a match takes, how long a table takes to build and how long it holds
 * the event loop at a time, how much memory it needs.
 *
 *   node --expose-gc bench/routing.ts
 */
const HOSTS = 1000
const ROUTES_PER_HOST = 10
const SERVICES = 300

function spec(host: number, i: number): RouteSpec {
  const service = `service-${(host * ROUTES_PER_HOST + i) % SERVICES}`
  const path =
    i === 0 ? '/' : i < 5 ? `/api/v1/resource-${i}` : i < 9 ? `/users/{id}/things-${i}` : '/exact/path'
  return aRoute(
    `route-${host}-${i}`,
    {
      hosts: [`host-${host}.example.com`],
      path: { kind: i === 9 ? 'exact' : 'prefix', value: path },
      methods: i % 3 === 0 ? ['GET', 'POST'] : [],
    },
    { action: { kind: 'proxy', targets: [{ service, weight: 1 }], host: 'preserve' } },
  )
}

function config(edited: number): DynamicConfig {
  const routes: RouteSpec[] = []
  for (let host = 0; host < HOSTS; host++) {
    for (let i = 0; i < ROUTES_PER_HOST; i++) {
      const one = spec(host, i)
      routes.push(host === 0 && i === 0 ? { ...one, priority: edited } : one)
    }
  }
  return configOf(routes)
}

function registry(changed: number): RegistryState {
  const services: RegistryState['services'] = new Map(
    Array.from({ length: SERVICES }, (_, i) => {
      const name = `service-${i}`
      const instances = Array.from({ length: 5 }, (_, n): Instance => {
        const id = `${name}-${n}${i === 0 && n === 0 ? `-${changed}` : ''}`
        return {
          key: `bench/dc1/node/${id}`,
          id,
          service: name,
          address: `10.0.${i % 256}.${n + 1}`,
          port: 8080,
          scheme: 'http',
          state: 'passing',
          weight: 1,
          tags: [],
          meta: {},
        }
      })
      return [name, { name, instances, source: 'live', lastGoodAt: 0 }]
    }),
  )
  return { services, problems: [] }
}

async function timed(make: () => Promise<Table>): Promise<{ table: Table; ms: number; heldMs: number }> {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  // The monitor needs a turn of the loop before and after.
  await new Promise((resolve) => setTimeout(resolve, 20))
  delay.reset()
  const start = performance.now()
  const table = await make()
  const ms = performance.now() - start
  await new Promise((resolve) => setTimeout(resolve, 5))
  delay.disable()
  return { table, ms, heldMs: delay.max / 1e6 }
}

function shape(host: string, target: string): RequestShape {
  return {
    method: 'GET',
    target,
    authority: host,
    scheme: 'http',
    header: () => undefined,
    clientIp: '192.0.2.1',
    roll: 0.5,
  }
}

/** CPU time, because others use this machine, too. µs. */
function matchMicros(table: Table, shapes: readonly RequestShape[], isRouted: boolean): string {
  const rounds: number[] = []
  const expected = isRouted ? 'route' : 'refuse'
  for (let round = 0; round < 15; round++) {
    const count = 200_000
    const start = process.cpuUsage()
    let right = 0
    for (let i = 0; i < count; i++) {
      if (decide(shapes[i % shapes.length] as RequestShape, table).kind === expected) right++
    }
    const { user, system } = process.cpuUsage(start)
    rounds.push((user + system) / count)
    if (right !== count) throw new TypeError(`${count - right} requests were not decided as expected`)
  }
  return `${median(rounds).toFixed(2)} µs (best round ${Math.min(...rounds).toFixed(2)})`
}

const before = process.memoryUsage()
let version = 0
const build = (dynamic: DynamicConfig, state: RegistryState, previous?: Table) =>
  compileTable({
    config: dynamic,
    declared: [],
    registry: state,
    version: ++version,
    cause: 'bench',
    now: 0,
    ...(previous === undefined ? {} : { previous }),
  })

const base = config(0)
const state = registry(0)
const first = await timed(() => build(base, state))
globalThis.gc?.()
const after = process.memoryUsage()
const edits: { ms: number; heldMs: number }[] = []
const flaps: { ms: number; heldMs: number }[] = []
let table = first.table
for (let i = 1; i <= 9; i++) {
  const edited = config(i)
  const byFile = await timed(() => build(edited, state, table))
  edits.push(byFile)
  const flapped = registry(i)
  const byRegistry = await timed(() => build(edited, flapped, byFile.table))
  flaps.push(byRegistry)
  table = await build(edited, state, byRegistry.table)
}

const hits = Array.from({ length: 997 }, (_, i) =>
  shape(
    `host-${(i * 7) % HOSTS}.example.com`,
    ['/api/v1/resource-3/x', '/users/17/things-6', '/exact/path'][i % 3] as string,
  ),
)
const misses = Array.from({ length: 997 }, (_, i) => shape(`nobody-${i}.example.org`, '/wp-login.php'))

console.log(
  `Routing, ${HOSTS * ROUTES_PER_HOST} routes over ${HOSTS} hosts, ${SERVICES * 5} instances, ${machineLine()}\n`,
)
console.log('| | |')
console.log('|---|---|')
const fixed = (value: number) => value.toFixed(1)
const of = (list: readonly { ms: number; heldMs: number }[]) =>
  `${fixed(median(list.map(({ ms }) => ms)))} ms, the loop held at most ${fixed(median(list.map(({ heldMs }) => heldMs)))} ms at a time`
console.log(`| match, requests spread over all hosts | ${matchMicros(table, hits, true)} |`)
console.log(`| match, requests of 10 hosts | ${matchMicros(table, hits.slice(0, 10), true)} |`)
console.log(`| match, no route for the host | ${matchMicros(table, misses, false)} |`)
console.log(`| first table | ${of([first])} |`)
console.log(`| rebuild, one route of the files changed | ${of(edits)} |`)
console.log(`| rebuild, one instance changed | ${of(flaps)} |`)
console.log(
  `| heap of table and configuration | ${fixed((after.heapUsed - before.heapUsed) / 2 ** 20)} MiB |`,
)
console.log(
  `| RSS of the process with it | ${fixed(after.rss / 2 ** 20)} MiB (${fixed(before.rss / 2 ** 20)} before) |`,
)
process.exit(0)
