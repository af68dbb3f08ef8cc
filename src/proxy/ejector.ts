import type { Clock, Random } from '../core/duration.ts'
import { maxEjected } from '../routing/balance.ts'
import { rotate } from '../routing/rotation.ts'
import type { LiveUpstream } from './live-upstream.ts'
import {
  causeOf,
  clearRecord,
  type EjectionCause,
  ejectionMs,
  noteConnectFailure,
  noteFault,
  noteServerError,
  othersOf,
  rowText,
  standsOut,
  sweepOutliers,
} from './outlier.ts'
import type { Group } from './upstream-group.ts'
import type { EjectionEvent, PanicEvent } from './upstream-stats.ts'

export interface EjectorDeps {
  readonly clock: Clock
  readonly random: Random
  /** The gateway's own zone. */
  readonly zone: string | undefined
  tell(event: EjectionEvent | PanicEvent): void
}

/** Takes instances out of rotation and back, and says why. What it decides by is in outlier.ts and rotation.ts. */
export class Ejector {
  readonly #deps: EjectorDeps

  constructor(deps: EjectorDeps) {
    this.#deps = deps
  }

  /** It could not be connected to. */
  connectFailed(group: Group, upstream: LiveUpstream, fault: string): void {
    noteConnectFailure(upstream.record, fault)
    this.#judge(group, upstream)
  }

  /** It was connected to and failed then. */
  faulted(group: Group, upstream: LiveUpstream, fault: string): void {
    noteFault(upstream.record, fault)
    this.#judge(group, upstream)
  }

  /** It answered with a server error. */
  answeredError(group: Group, upstream: LiveUpstream, status: number): void {
    noteServerError(upstream.record, status)
    this.#judge(group, upstream)
  }

  #judge(group: Group, upstream: LiveUpstream): void {
    if (upstream.isRetired || upstream.isEjected) return
    const { record } = upstream
    const cause = causeOf(record, group.service.policy.health.outlier)
    if (cause === undefined) return
    const peers = peersOf(group, upstream)
    if (peers.length === 0) return
    // Nothing was asked of one that refuses the connection: there is nothing to compare.
    if (cause !== 'connect') {
      const records = peers.map((one) => one.record)
      if (!standsOut(record.errors, othersOf(records, record))) return
    }
    this.#eject(group, upstream, cause, rowText(record, cause))
  }

  #eject(group: Group, upstream: LiveUpstream, cause: EjectionCause, reason: string): void {
    const { outlier } = group.service.policy.health
    const peers = peersOf(group, upstream)
    const ejected = peers.filter(({ ejection }) => ejection !== undefined).length
    if (ejected >= maxEjected(peers.length, outlier.maxEjected) || !hasAnother(peers, upstream)) {
      this.#keep(upstream, cause, reason)
      return
    }
    const { clock, random } = this.#deps
    const forMs = ejectionMs(cause, ++upstream.record.times, outlier, random)
    const text = `${reason}, ejected for ${seconds(forMs)}, ${ejected + 1} of ${peers.length} instances`
    upstream.ejection = { cause, reason }
    upstream.ejectedUntil = clock.monotonic() + forMs
    this.#tell(upstream, { kind: 'ejected', reason: text, forMs, cause })
    this.review(group)
  }

  /** It should be out and is needed. Said once, not with each failure. */
  #keep(upstream: LiveUpstream, cause: EjectionCause, reason: string): void {
    if (upstream.isKeptTold) return
    upstream.isKeptTold = true
    this.#tell(upstream, { kind: 'kept', reason: `${reason}; too few others are left`, forMs: 0, cause })
  }

  /** It answered: a failed connect is over and forgotten. Other reasons have to wait for their time. */
  answersAgain(group: Group, upstream: LiveUpstream): void {
    if (upstream.ejection?.cause === 'connect') this.#return(group, upstream, 'it answers again')
  }

  /** The registry has taken it back. */
  forgive(group: Group, upstream: LiveUpstream): void {
    if (upstream.ejection !== undefined) this.#return(group, upstream, 'the registry brings it back')
  }

  #return(group: Group, upstream: LiveUpstream, reason: string): void {
    const cause = upstream.ejection?.cause
    upstream.ejection = undefined
    upstream.ejectedUntil = 0
    this.#backIn(group, upstream, reason, cause)
  }

  #backIn(group: Group, upstream: LiveUpstream, reason: string, cause: EjectionEvent['cause']): void {
    upstream.isKeptTold = false
    clearRecord(upstream.record)
    if (!upstream.isEjected) {
      const now = this.#deps.clock.monotonic()
      upstream.slowStartAt = now
      upstream.inRotationSince = now
      this.#tell(upstream, { kind: 'returned', reason, forMs: 0, cause })
    }
    this.review(group)
  }

  /** The gateway's own checks have failed so often that it counts. Safe to call with each further one. */
  checkFailed(group: Group, upstream: LiveUpstream, reason: string): void {
    if (upstream.unhealthy !== undefined) return
    const peers = peersOf(group, upstream)
    if (!hasAnother(peers, upstream)) {
      this.#keep(upstream, 'check', reason)
      return
    }
    upstream.unhealthy = reason
    const out = peers.filter(({ isEjected }) => isEjected).length
    const text = `${reason}, out until it passes, ${out} of ${peers.length} instances`
    this.#tell(upstream, { kind: 'ejected', reason: text, forMs: 0, cause: 'check' })
    this.review(group)
  }

  /** They pass again, as often as is asked for: whatever took it out is over. */
  checkPassed(group: Group, upstream: LiveUpstream, reason: string): void {
    upstream.isKeptTold = false
    if (!upstream.isEjected) return
    const cause = upstream.ejection?.cause ?? 'check'
    upstream.unhealthy = undefined
    upstream.ejection = undefined
    upstream.ejectedUntil = 0
    this.#backIn(group, upstream, reason, cause)
  }

  /** Nobody checks it any more, so nobody knows. */
  checkEnded(group: Group, upstream: LiveUpstream): void {
    if (upstream.unhealthy === undefined) return
    upstream.unhealthy = undefined
    this.#backIn(group, upstream, 'it is no longer checked', 'check')
  }

  /** Ends what is over and looks at rates. Called a few times a second. */
  tick(groups: Iterable<Group>): void {
    const now = this.#deps.clock.monotonic()
    for (const group of groups) {
      if (group.isNarrowed) this.#endTimes(group, now)
      if (now < group.nextSweepAt) continue
      const { intervalMs } = group.service.policy.health.outlier
      // The first one comes at a random moment: not all services in one turn of the loop.
      const isFirst = group.nextSweepAt === 0
      group.nextSweepAt = now + (isFirst ? intervalMs * (0.5 + this.#deps.random() / 2) : intervalMs)
      this.#sweep(group, isFirst ? Number.NEGATIVE_INFINITY : now - intervalMs)
    }
  }

  #endTimes(group: Group, now: number): void {
    for (const upstream of group.live.values()) {
      if (upstream.ejection === undefined || upstream.ejectedUntil > now) continue
      this.#return(group, upstream, 'its time is over')
    }
  }

  #sweep(group: Group, since: number): void {
    const inRotation = group.eligible.filter(({ isEjected }) => !isEjected)
    const findings = sweepOutliers(inRotation, group.service.policy.health.outlier)
    for (const { one, cause, reason } of findings) this.#eject(group, one, cause, reason)
    for (const upstream of group.live.values()) {
      const { record } = upstream
      record.requests = 0
      record.failures = 0
      if (record.errors === 0 && record.connects === 0) upstream.isKeptTold = false
      if (record.times > 0 && !upstream.isEjected && upstream.inRotationSince <= since) record.times--
    }
  }

  /** Sorts the candidates anew, after any change; says when there are too few of them, or again enough. */
  review(group: Group): void {
    const { panic, zone } = group.service.policy.health
    const rules = { panic, zone, ownZone: this.#deps.zone }
    group.rotations = new WeakMap()
    group.isNarrowed =
      (zone !== 'off' && this.#deps.zone !== undefined) ||
      group.eligible.some(({ isEjected }) => isEjected) ||
      group.reserve.some(({ isEjected }) => isEjected)
    // Somebody in rotation stands by: nobody who is ejected has to work.
    group.isCovered = group.standby.some((tier) => tier.some(({ isEjected }) => !isEjected))
    const { isPanic, all } = rotate(group.eligible, group.isCovered ? { ...rules, panic: 0 } : rules)
    if (isPanic === group.isPanic) return
    group.isPanic = isPanic
    const left = all.filter(({ isEjected }) => !isEjected).length
    const share = `${left} of ${all.length} instances in rotation`
    const limit = `${Math.round(panic * 100)} %`
    this.#deps.tell({
      type: 'panic',
      kind: isPanic ? 'entered' : 'left',
      service: group.service.name,
      reason: isPanic
        ? `${share}, less than ${limit}: ejections are ignored`
        : `${share}: ejections count again`,
    })
  }

  #tell(upstream: LiveUpstream, event: Pick<EjectionEvent, 'kind' | 'reason' | 'forMs' | 'cause'>): void {
    const { service, instance } = upstream
    this.#deps.tell({ type: 'ejection', ...event, service, instanceKey: instance.key })
  }
}

/** Those that it shares its work with or leaves it to, itself among them; nobody when the registry has taken it out. */
function peersOf({ eligible, reserve, standby }: Group, upstream: LiveUpstream): readonly LiveUpstream[] {
  const peers = standby.length === 0 ? eligible : [...eligible, ...standby.flat()]
  if (peers.includes(upstream)) return peers
  return reserve.includes(upstream) ? reserve : []
}

const hasAnother = (peers: readonly LiveUpstream[], upstream: LiveUpstream) =>
  peers.some((one) => one !== upstream && !one.isEjected)

function seconds(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 1000)} s`
}
