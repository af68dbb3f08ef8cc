import type { Registry } from 'prom-client'
import { STABLE } from '../src/core/canary.ts'
import type { RequestRecord } from '../src/core/record.ts'
import type { CanaryView } from '../src/core/views.ts'

/** `ok` below 400, `client` 4xx, `failed` 5xx and everything that is the service's fault, `gone` = the client left. */
const RESULTS = ['ok', 'client', 'failed', 'gone'] as const
type Result = (typeof RESULTS)[number]

/** How a request of a release ended; what a client or its departure caused is not the version's fault. */
export function canaryResult({ status, outcome }: Pick<RequestRecord, 'status' | 'outcome'>): Result {
  if (outcome === 'client_gone' || outcome === 'client_timeout') return 'gone'
  // An answer that broke off has the status of its beginning.
  if (status >= 500 || (outcome !== 'ok' && status < 400)) return 'failed'
  return status >= 400 ? 'client' : 'ok'
}

interface SideCell {
  readonly results: Record<Result, number>
  /** Nobody of the side was there. */
  empty: number
}

/** Requests by rule and side; names come from the configuration. */
export class CanaryMetrics {
  readonly #rules = new Map<string, Map<string, SideCell>>()

  record(record: RequestRecord): void {
    const { canary } = record
    if (canary === undefined) return
    const { rule, side, wanted, others } = canary
    const result = canaryResult(record)
    // What answered in the place of stable may be the version of another rule: it says nothing of this one.
    if (wanted !== STABLE) this.#cell(rule, side).results[result]++
    const isNobody = wanted === undefined && record.outcome === 'no_instance'
    if (wanted !== undefined || isNobody) this.#cell(rule, wanted ?? side).empty++
    for (const other of others) this.#cell(other, side).results[result]++
  }

  #cell(rule: string, side: string): SideCell {
    let sides = this.#rules.get(rule)
    if (sides === undefined) {
      sides = new Map()
      this.#rules.set(rule, sides)
    }
    let cell = sides.get(side)
    if (cell === undefined) {
      cell = { results: { ok: 0, client: 0, failed: 0, gone: 0 }, empty: 0 }
      sides.set(side, cell)
    }
    return cell
  }

  /** Forgets rules that are gone. */
  keepOnly(names: ReadonlySet<string>): void {
    for (const name of this.#rules.keys()) if (!names.has(name)) this.#rules.delete(name)
  }

  *#cells(): Generator<{ canary: string; side: string; cell: SideCell }> {
    for (const [canary, sides] of this.#rules) for (const [side, cell] of sides) yield { canary, side, cell }
  }

  #requests() {
    return [...this.#cells()].flatMap(({ canary, side, cell }) =>
      RESULTS.filter((result) => cell.results[result] > 0).map((result) => ({
        labels: { canary, side, result },
        value: cell.results[result],
      })),
    )
  }

  #empty() {
    return [...this.#cells()]
      .filter(({ cell }) => cell.empty > 0)
      .map(({ canary, side, cell }) => ({ labels: { canary, side }, value: cell.empty }))
  }

  /** Makes the metrics part of a registry; `canaries`: those of the table in force. */
  registerIn(
    registry: Registry,
    { canaries, decidesCanaries }: { canaries(): readonly CanaryView[]; decidesCanaries(): boolean },
  ): void {
    const add = (name: string, help: string, type: 'counter' | 'gauge', values: () => object[]) => {
      const metric = { name, get: async () => ({ name, help, type, values: values(), aggregator: 'sum' }) }
      registry.registerMetric(metric as unknown as Parameters<Registry['registerMetric']>[0])
    }
    add(
      'sluice_canary_requests_total',
      'Requests by canary rule, side that answered, result.',
      'counter',
      () => this.#requests(),
    )
    add(
      'sluice_canary_empty_total',
      'Requests whose side had no instance; another side answered, or nobody.',
      'counter',
      () => this.#empty(),
    )
    add('sluice_canary_percent', 'Share of the traffic that a rule gives away, 0 to 100.', 'gauge', () =>
      canaries().map(({ name, percent }) => ({ labels: { canary: name }, value: percent })),
    )
    add(
      'sluice_canary_state',
      'Always 1; state: where a release that leads itself stands, else file.',
      'gauge',
      () => canaries().map(({ name, state }) => ({ labels: { canary: name, state }, value: 1 })),
    )
    add('sluice_canary_decides', '1 when this gateway is the one that decides on releases.', 'gauge', () => [
      { labels: {}, value: decidesCanaries() ? 1 : 0 },
    ])
  }
}
