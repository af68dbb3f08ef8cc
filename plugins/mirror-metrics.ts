import { Counter, type Registry } from 'prom-client'
import type { DifferenceKind } from '../src/mirror/compare.ts'
import type { ContractBreach } from '../src/mirror/contract-book.ts'
import type { MirrorResult } from '../src/mirror/mirror-state.ts'

/** Counters of mirrors and contracts. Labels come from the configuration and from fixed lists. */
export class MirrorMetrics {
  readonly #requests: Counter
  readonly #differences: Counter
  readonly #breaches: Counter

  constructor(registry: Registry) {
    const counter = (name: string, help: string, labelNames: string[]) =>
      new Counter({ name, help, labelNames, registers: [registry] })
    this.#requests = counter('sluice_mirror_requests_total', 'Copies of requests by what became of them.', [
      'mirror',
      'result',
    ])
    this.#differences = counter(
      'sluice_mirror_differences_total',
      'Differences between the answers of mirror and primary, without noise.',
      ['mirror', 'kind'],
    )
    this.#breaches = counter('sluice_contract_breaches_total', 'Fields that a service dropped or retyped.', [
      'route',
      'kind',
    ])
  }

  request(mirror: string, result: MirrorResult): void {
    this.#requests.labels(mirror, result).inc()
  }

  difference(mirror: string, kind: DifferenceKind): void {
    this.#differences.labels(mirror, kind).inc()
  }

  breach({ route, kind }: ContractBreach): void {
    this.#breaches.labels(route, kind).inc()
  }
}
