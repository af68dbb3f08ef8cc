import type { Clock } from '../core/duration.ts'
import type { RedisStore } from '../core/redis-store.ts'
import type { Calendar } from './calendar.ts'
import { Denials } from './denials.ts'
import { FixedWindows } from './fixed-window.ts'
import { LateCounts } from './late-counts.ts'
import type { Decision } from './limit.ts'
import { QuotaCounters } from './quota-counters.ts'

/**
 * For rate-limiter-flexible in the place of its own script: counts in the period of a calendar, by Redis' clock, and
 * counts no refusals. ARGV: points, seconds (unused), limit, unused, and four instants: beginnings of the period before,
 * this one, the next and the one after, as the gateway knows them.
 */
export const QUOTA_LUA = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local points, limit = tonumber(ARGV[1]), tonumber(ARGV[3])
local at = {tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])}
local i = 1
if now >= at[3] then i = 3 elseif now >= at[2] then i = 2 end
local start, stop = at[i], at[i + 1]
local since, used = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%d+)$')
since, used = tonumber(since), tonumber(used)
if since == nil or since < start then used = 0 end
local left = math.max(1, stop - now)
if used + points > limit then return {used + points, left} end
used = used + points
redis.call('SET', KEYS[1], string.format('%.0f %.0f', math.max(since or 0, start), used), 'PX', left + 3600000)
return {used, left}
`

export interface SharedQuotaOptions {
  readonly store: RedisStore
  readonly calendar: Calendar
  readonly clock: Clock
  readonly gateways: number
  readonly onStoreError: 'local' | 'open' | 'closed'
}

/** `decision` undefined: nobody counted. */
export interface QuotaVerdict {
  readonly decision: Decision | undefined
  readonly by: 'shared' | 'cached' | 'local' | 'open' | 'closed'
}

/** A quota that gateways share. */
export class SharedQuota {
  readonly #options: SharedQuotaOptions
  readonly #denials: Denials
  readonly #local = new QuotaCounters()
  readonly #late = new LateCounts()
  /** By limit: exceptions have their own. */
  readonly #windows = new Map<number, FixedWindows>()

  constructor(options: SharedQuotaOptions) {
    this.#options = options
    this.#denials = new Denials(options.clock)
  }

  /** Never rejects. */
  decide(key: string, limit: number, cost: number): QuotaVerdict | Promise<QuotaVerdict> {
    const denied = this.#denials.find(key, cost)
    if (denied !== undefined) return { decision: denied, by: 'cached' }
    if (!this.#options.store.isUp) return this.#withoutStore(key, limit, cost, false)
    return this.#windowsOf(limit)
      .consume(key, cost, this.#late.take(key))
      .then(
        (decision) => this.#note(key, limit, cost, decision),
        () => this.#withoutStore(key, limit, cost, true),
      )
  }

  #windowsOf(limit: number): FixedWindows {
    let windows = this.#windows.get(limit)
    if (windows === undefined) {
      const { store, calendar, clock } = this.#options
      const moreArgs = () => {
        const { previous, start, end, nextEnd } = calendar.at(clock.now())
        return [previous, start, end, nextEnd]
      }
      windows = new FixedWindows(store, { limit, windowMs: 1000, lua: QUOTA_LUA, moreArgs })
      this.#windows.set(limit, windows)
    }
    return windows
  }

  #note(key: string, limit: number, cost: number, decision: Decision): QuotaVerdict {
    const { onStoreError, gateways, calendar, clock } = this.#options
    if (!decision.isAllowed) this.#denials.note(key, cost, decision)
    if (onStoreError === 'local') {
      const { start } = calendar.at(clock.now())
      this.#local.raise(key, { start, count: Math.ceil((limit - decision.remaining) / gateways) })
    }
    return { decision, by: 'shared' }
  }

  #withoutStore(key: string, limit: number, cost: number, wasSent: boolean): QuotaVerdict {
    const { onStoreError, gateways, calendar, clock } = this.#options
    if (onStoreError !== 'local') return { decision: undefined, by: onStoreError }
    const now = clock.now()
    const share = Math.min(limit, Math.max(cost, Math.floor(limit / gateways)))
    const decision = this.#local.decide(key, share, cost, now, calendar.at(now))
    if (!wasSent && decision.isAllowed) this.#late.add(key, cost)
    return { decision, by: 'local' }
  }
}
