import type { FlappingView, HistoryEntry, HistoryState } from '../core/monitor-view.ts'

/** `monitor.flapping`. */
export interface FlappingRule {
  /** So many changes are flapping … */
  readonly changes: number
  /** … within this; and so long it has to be quiet until it is over. ms. */
  readonly within: number
}

/** An instance began to flap, or is quiet again. */
export interface FlappingChange extends FlappingView {
  readonly state: 'begin' | 'end'
}

/** How much an instance is worth: only a change of this counts. */
type Level = 'good' | 'warning' | 'out'

interface Watched {
  service: string
  address: string
  /** As the registry says; `gone` = no longer listed. */
  listed: HistoryState
  isEjected: boolean
  /** It left after a drain: what comes back is a new start, no fault. */
  hasLeftOnPurpose: boolean
  lastAt: number
  /** When it changed, the oldest first; ms since the epoch. */
  times: number[]
  since: number | undefined
}

/** More of them say nothing more. */
const MAX_TIMES = 1000
const ON_PURPOSE: ReadonlySet<HistoryState | undefined> = new Set(['draining', 'maintenance'])

function levelOf(listed: HistoryState, isEjected: boolean): Level {
  if (isEjected) return 'out'
  if (listed === 'passing' || listed === 'unknown') return 'good'
  return listed === 'warning' ? 'warning' : 'out'
}

/**
 * Finds instances that go in and out of use, or between passing and warning, again and again. What is done on purpose
 * (drain, maintenance, and the start after it) does not count, nor do both ends of one crash twice: an ejection and the
 * failed check that follows it are one change. Pure.
 */
export class Flapping {
  readonly #rule: FlappingRule
  readonly #watched = new Map<string, Watched>()
  /** Of those that flap. */
  readonly #keys = new Set<string>()

  constructor(rule: FlappingRule) {
    this.#rule = rule
  }

  /** Takes one entry of the history; in the order of their times. Defined when the instance flaps from now on. */
  note(entry: HistoryEntry): FlappingChange | undefined {
    const { key, service, address, at, from, to, what } = entry
    const one = this.#watched.get(key) ?? this.#begin(entry)
    const before = levelOf(one.listed, one.isEjected)
    const wasOnPurpose = what === 'appeared' ? one.hasLeftOnPurpose : ON_PURPOSE.has(from)
    Object.assign(one, { service, address, lastAt: at })
    if (what === 'ejected') one.isEjected = true
    else if (what === 'returned') one.isEjected = false
    else {
      one.listed = to
      one.hasLeftOnPurpose = what === 'left' && wasOnPurpose
      if (what === 'left') one.isEjected = false
    }
    const isSame = before === levelOf(one.listed, one.isEjected)
    if (isSame || wasOnPurpose || ON_PURPOSE.has(to) || entry.away === true) return undefined
    one.times.push(at)
    if (one.times.length > MAX_TIMES) one.times.shift()
    this.#forget(one, at)
    if (one.since !== undefined || one.times.length < this.#rule.changes) return undefined
    one.since = at
    this.#keys.add(key)
    return { state: 'begin', ...viewOf(key, one) }
  }

  #begin({ key, service, address, at, from, to, what }: HistoryEntry): Watched {
    // What was before is not known: as the entry itself says; one that appears was never gone.
    const listed = what === 'returned' ? to : (from ?? to)
    const one: Watched = {
      service,
      address,
      listed,
      isEjected: what === 'returned',
      hasLeftOnPurpose: false,
      lastAt: at,
      times: [],
      since: undefined,
    }
    this.#watched.set(key, one)
    return one
  }

  #forget(one: Watched, now: number): void {
    const until = now - this.#rule.within
    const first = one.times.findIndex((at) => at > until)
    if (first !== 0) one.times.splice(0, first === -1 ? one.times.length : first)
  }

  /** Ends what has been quiet for long enough. Called from time to time. */
  review(now: number): FlappingChange[] {
    const ended: FlappingChange[] = []
    for (const [key, one] of this.#watched) {
      this.#forget(one, now)
      if (one.times.length > 0) continue
      if (one.since !== undefined) {
        ended.push({ state: 'end', ...viewOf(key, one) })
        one.since = undefined
        this.#keys.delete(key)
      }
      if (one.lastAt <= now - this.#rule.within) this.#watched.delete(key)
    }
    return ended
  }

  /** Those that flap, the longest first. */
  view(now: number): FlappingView[] {
    const all = [...this.#keys].flatMap((key) => {
      const one = this.#watched.get(key)
      if (one === undefined) return []
      this.#forget(one, now)
      return [viewOf(key, one)]
    })
    return all.sort((a, b) => a.since - b.since)
  }

  /** Keys of those that flap; live. */
  get keys(): ReadonlySet<string> {
    return this.#keys
  }
}

const viewOf = (key: string, { service, address, times, since = 0 }: Watched): FlappingView => ({
  service,
  key,
  address,
  changes: times.length,
  since,
})
