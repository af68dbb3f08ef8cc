import type { Clock, Random } from '../core/duration.ts'
import type { CheckPolicy } from '../core/health-policy.ts'
import { type CheckResult, checkOnce } from './check-probe.ts'
import type { Ejector } from './ejector.ts'
import type { LiveUpstream } from './live-upstream.ts'
import type { Group } from './upstream-group.ts'

/** Begun in one tick at most; the rest follows in the next. With ten ticks a second that is 1,000 a second. */
const MAX_PER_TICK = 100

export interface ActiveChecksDeps {
  readonly clock: Clock
  readonly random: Random
  readonly ejector: Ejector
  /** Default: the real one. */
  readonly probe?: typeof checkOnce
}

/** One instance that is checked. */
interface Entry {
  readonly upstream: LiveUpstream
  readonly group: Group
  readonly check: CheckPolicy
  /** Monotonic ms. */
  dueAt: number
  passed: number
  failed: number
  /** Set while one is under way. */
  running: AbortController | undefined
}

/**
 * Checks of the gateway itself, on instances that the registry calls alive. One timer drives all of them (`tick`); each
 * instance has a random place within its interval, so that 5,000 make a trickle and no burst.
 */
export class ActiveChecks {
  readonly #deps: ActiveChecksDeps
  readonly #entries = new Map<Group, Map<LiveUpstream, Entry>>()

  constructor(deps: ActiveChecksDeps) {
    this.#deps = deps
  }

  /** Starts and ends checks as the table wants it. Those that go on keep their place and their counts. */
  update(group: Group): void {
    const { check } = group.service.policy.health
    if (check === undefined) {
      this.remove(group)
      for (const upstream of group.live.values()) this.#deps.ejector.checkEnded(group, upstream)
      return
    }
    let entries = this.#entries.get(group)
    if (entries === undefined) {
      entries = new Map()
      this.#entries.set(group, entries)
    }
    // Only those that the registry calls alive: of others it knows more than a check.
    const wanted = new Set(group.eligible)
    for (const [upstream, entry] of entries) {
      if (wanted.has(upstream) && entry.check === check) continue
      entries.delete(upstream)
      entry.running?.abort()
    }
    const now = this.#deps.clock.monotonic()
    for (const upstream of wanted) {
      if (entries.has(upstream)) continue
      const dueAt = now + this.#deps.random() * check.intervalMs
      entries.set(upstream, { upstream, group, check, dueAt, passed: 0, failed: 0, running: undefined })
    }
  }

  /** The table no longer has the service, or it is no longer checked. */
  remove(group: Group): void {
    for (const { running } of this.#entries.get(group)?.values() ?? []) running?.abort()
    this.#entries.delete(group)
  }

  /** Begins what is due. */
  tick(): void {
    const now = this.#deps.clock.monotonic()
    let begun = 0
    for (const entries of this.#entries.values()) {
      for (const entry of entries.values()) {
        if (entry.dueAt > now || entry.running !== undefined) continue
        void this.#check(entry)
        if (++begun >= MAX_PER_TICK) return
      }
    }
  }

  async #check(entry: Entry): Promise<void> {
    const { upstream, check } = entry
    const running = new AbortController()
    entry.running = running
    const { probe = checkOnce } = this.#deps
    const result = await probe(upstream.instance, upstream.policy, check, running.signal)
    if (running.signal.aborted) return
    entry.running = undefined
    const vary = 1 + check.jitter * (this.#deps.random() * 2 - 1)
    entry.dueAt = this.#deps.clock.monotonic() + check.intervalMs * vary
    this.#conclude(entry, result)
  }

  #conclude(entry: Entry, { isHealthy, text }: CheckResult): void {
    const { upstream, group, check } = entry
    if (isHealthy) {
      entry.failed = 0
      // What passed before it was ejected says nothing of now.
      entry.passed = upstream.isEjected ? entry.passed + 1 : 0
      if (entry.passed < check.healthyAfter) return
      this.#deps.ejector.checkPassed(group, upstream, `its check passes: ${text}`)
      entry.passed = 0
      return
    }
    entry.passed = 0
    entry.failed++
    if (entry.failed < check.unhealthyAfter) return
    this.#deps.ejector.checkFailed(
      group,
      upstream,
      `${entry.failed} of ${entry.failed} checks failed: ${text}`,
    )
  }

  close(): void {
    for (const group of this.#entries.keys()) this.remove(group)
  }
}
