import type { FleetGateway, FleetReport, FleetView, SeenInstance } from '../core/fleet-view.ts'

/** So long a gateway that is gone is still shown. ms. */
const REMEMBERED_MS = 300_000
/** Gateways beyond that are not taken: somebody floods. */
const MOST_GATEWAYS = 1000
/** Silent for so many intervals = stale. */
const SILENT_INTERVALS = 3

interface Known {
  readonly report: FleetReport
  /** When the last news came, by this gateway's clocks. */
  readonly seenAt: number
  readonly seenMonotonic: number
  /** It took its report back: it went, or its session is over. */
  readonly isGone: boolean
}

/** What is known of the other gateways. Ages are by this gateway's clock: those of others may be wrong. */
export class FleetBook {
  readonly #known = new Map<string, Known>()
  readonly #clock: { now(): number; monotonic(): number }

  constructor(clock: { now(): number; monotonic(): number }) {
    this.#clock = clock
  }

  /** One report that was pushed. */
  take(report: FleetReport): void {
    const known = this.#known.get(report.id)
    if (known !== undefined && !known.isGone && known.report.sequence === report.sequence) return
    if (known === undefined && this.#known.size >= MOST_GATEWAYS) return
    this.#known.set(report.id, {
      report,
      seenAt: this.#clock.now(),
      seenMonotonic: this.#clock.monotonic(),
      isGone: false,
    })
  }

  /** All reports of a store: who is not among them is gone. */
  takeAll(reports: readonly FleetReport[]): void {
    const ids = new Set(reports.map(({ id }) => id))
    for (const report of reports) this.take(report)
    for (const [id, known] of this.#known) {
      if (!ids.has(id) && !known.isGone) this.#known.set(id, { ...known, isGone: true })
    }
  }

  #isStale({ report, seenMonotonic, isGone }: Known): boolean {
    return isGone || this.#clock.monotonic() - seenMonotonic > SILENT_INTERVALS * report.intervalMs
  }

  /** Those that were heard of lately; the own one, if given, first. */
  view(own: FleetReport | undefined): Pick<FleetView, 'gateways' | 'instances'> {
    const now = this.#clock.monotonic()
    for (const [id, { seenMonotonic }] of this.#known) {
      if (now - seenMonotonic > REMEMBERED_MS) this.#known.delete(id)
    }
    const others = [...this.#known.values()].filter(({ report }) => report.id !== own?.id)
    const gateways = [
      ...(own === undefined ? [] : [gatewayView(own, this.#clock.now(), true, false)]),
      ...others
        .map((known) => gatewayView(known.report, known.seenAt, false, this.#isStale(known)))
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
    ]
    const instances: Record<string, (SeenInstance & { gateway: string })[]> = {}
    for (const report of [
      ...(own === undefined ? [] : [own]),
      ...this.fresh().filter((one) => one.id !== own?.id),
    ]) {
      for (const [key, one] of Object.entries(report.instances)) {
        const list = Object.hasOwn(instances, key) ? instances[key] : undefined
        if (list === undefined) instances[key] = [{ gateway: report.id, ...one }]
        else list.push({ gateway: report.id, ...one })
      }
    }
    return { gateways, instances }
  }

  /** Reports that still count. */
  fresh(): FleetReport[] {
    return [...this.#known.values()].filter((known) => !this.#isStale(known)).map(({ report }) => report)
  }
}

function gatewayView(
  { sequence: _, intervalMs: __, instances: ___, services: ____, routes: _____, ...head }: FleetReport,
  seenAt: number,
  isSelf: boolean,
  isStale: boolean,
): FleetGateway {
  return { ...head, seenAt, isSelf, isStale }
}
