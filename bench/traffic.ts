import { Traffic } from '../plugins/traffic.ts'
import type { RequestRecord } from '../src/core/record.ts'
import type { Table } from '../src/routing/table.ts'
import { aRecord } from '../test/support/records.ts'

/**
 * `npm run bench -- traffic`: what counting by route, service and instance costs each request, and what one answer of
 * `GET /api/traffic` costs with 500 services of 10 instances.
 */
const SERVICES = 500
const INSTANCES = 10
const RUNS = 5
const REQUESTS = 1_000_000

function run(): void {
  const names = Array.from({ length: SERVICES }, (_, i) => `service-${i}`)
  const keysOf = (name: string) =>
    Array.from({ length: INSTANCES }, (_, i) => `consul/dc1/n${i}/${name}-${i}`)
  const table = {
    routes: new Map(names.map((name) => [name, {}])),
    services: new Map(names.map((name) => [name, { instances: keysOf(name).map((key) => ({ key })) }])),
  } as unknown as Table
  const records: RequestRecord[] = names.flatMap((name) =>
    keysOf(name).map((instanceKey, i) =>
      aRecord({
        route: name,
        service: name,
        totalMs: 1 + i * 7,
        attempts: [{ instanceKey, status: 200, outcome: 'ok', ms: 1 + i * 6 }],
      }),
    ),
  )
  const traffic = new Traffic({ now: Date.now, table: () => table })
  const costs: number[] = []
  for (let round = 0; round <= RUNS; round++) {
    const begun = process.hrtime.bigint()
    for (let i = 0; i < REQUESTS; i++) traffic.record(records[i % records.length] as RequestRecord)
    if (round > 0) costs.push(Number(process.hrtime.bigint() - begun) / REQUESTS)
  }
  const views = Array.from({ length: RUNS }, () => {
    // The last view is not good enough any more.
    traffic.keepOnly(table)
    const begun = process.hrtime.bigint()
    const text = JSON.stringify(traffic.view())
    return { ms: Number(process.hrtime.bigint() - begun) / 1e6, length: text.length }
  })
  const [worst] = views.toSorted((a, b) => b.ms - a.ms)
  const { ms, length } = views.at(-1) as (typeof views)[number]
  const median = costs.toSorted((a, b) => a - b)[RUNS >> 1] as number
  console.log(`${SERVICES} services of ${INSTANCES}: ${median.toFixed(0)} ns a request (median of ${RUNS})`)
  console.log(
    `a view with its JSON: ${ms.toFixed(1)} ms (the first: ${worst?.ms.toFixed(1)}), ${Math.round(length / 1024)} KiB`,
  )
}

run()
