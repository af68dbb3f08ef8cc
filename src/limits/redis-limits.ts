import type { RedisStore } from '../core/redis-store.ts'
import { type Ask, areAllowed, type Decisions } from './ask.ts'
import { FixedWindows } from './fixed-window.ts'
import type { Decision, Limit } from './limit.ts'
import { LIMITS_SCRIPT, limitsArgs, limitsReply } from './script.ts'

/** Some of the asks of a request that are decided in one call. */
interface Part {
  readonly asks: readonly Ask[]
  decide(): Promise<Decisions>
  giveBack(): Promise<unknown>
}

/**
 * Counters that gateways share. Limits of one request are decided in one script, all or nothing. Where that cannot be
 * (fixed windows, and keys on different nodes of a cluster) they are asked at the same time, and when one refuses,
 * the others get back what they took.
 */
export class RedisLimits {
  readonly #store: RedisStore
  readonly #windows = new WeakMap<Limit, FixedWindows>()

  constructor(store: RedisStore) {
    this.#store = store
  }

  /** Rejects with GW_STORE_UNAVAILABLE. */
  async decide(asks: readonly Ask[]): Promise<Decisions> {
    const parts = this.#partsOf(asks)
    const [only] = parts
    if (parts.length === 1 && only !== undefined) return only.decide()
    const results = await Promise.allSettled(parts.map((part) => part.decide()))
    const decided = results.flatMap((result, i) =>
      result.status === 'fulfilled' ? [{ part: parts[i] as Part, decisions: result.value }] : [],
    )
    const isWhole = decided.length === parts.length
    if (!isWhole || decided.some(({ decisions }) => !areAllowed(decisions))) {
      for (const { part, decisions } of decided) {
        // Lost when the store fails now; the counter forgets it by itself.
        if (areAllowed(decisions)) part.giveBack().catch(() => {})
      }
    }
    const failed = results.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    const byAsk = new Map<Ask, Decision>()
    for (const { part, decisions } of decided) {
      part.asks.forEach((ask, i) => {
        byAsk.set(ask, decisions[i] as Decision)
      })
    }
    return asks.map((ask) => byAsk.get(ask) as Decision)
  }

  #partsOf(asks: readonly Ask[]): Part[] {
    const scripted = new Map<string, Ask[]>()
    const parts: Part[] = []
    for (const ask of asks) {
      if (ask.limit.algorithm === 'fixed-window') {
        parts.push(this.#windowPart(ask))
        continue
      }
      const group = this.#store.isCluster === true ? ask.tag : ''
      const members = scripted.get(group)
      if (members === undefined) scripted.set(group, [ask])
      else members.push(ask)
    }
    for (const members of scripted.values()) parts.push(this.#scriptPart(members))
    return parts
  }

  #scriptPart(asks: readonly Ask[]): Part {
    const keys = asks.map(({ key }) => key)
    const run = (isRefund: boolean) => this.#store.run(LIMITS_SCRIPT, keys, limitsArgs(asks, isRefund))
    return {
      asks,
      decide: async () => limitsReply(asks, await run(false)),
      giveBack: () => run(true),
    }
  }

  #windowPart(ask: Ask): Part {
    let windows = this.#windows.get(ask.limit)
    if (windows === undefined) {
      windows = new FixedWindows(this.#store, ask.limit)
      this.#windows.set(ask.limit, windows)
    }
    const own = windows
    return {
      asks: [ask],
      decide: async () => [await own.consume(ask.key, ask.cost, ask.late)],
      giveBack: () => own.giveBack(ask.key, ask.cost),
    }
  }
}
