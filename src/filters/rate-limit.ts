import { z } from 'zod'
import { type Ask, areAllowed, type Decisions } from '../limits/ask.ts'
import { type Reported, retryAfter } from '../limits/fields.ts'
import type { Decision } from '../limits/limit.ts'
import { MemoryLimits } from '../limits/memory.ts'
import { SharedLimits, type Verdict } from '../limits/shared-limits.ts'
import { defineFilter, type FilterContext, type FilterReply } from './filter.ts'
import { NO_KEY, networkReader } from './limit-key.ts'
import { report, writeReport } from './limit-report.ts'
import { createScope, gatewayOptions, STORE_REFUSAL, storeOptions, waitForStore } from './limit-store.ts'
import { createLimitReplay } from './rate-limit-replay.ts'
import { createRules, type Rule, rulesOption } from './rate-limit-rules.ts'

/** Limits how many requests come in a time: 429 GW_RATE_LIMITED. */
export const rateLimit = defineFilter({
  name: 'rate-limit',
  summary: 'Limits how many requests come in a time, by principal, header, network …: 429 with Retry-After.',
  options: z.strictObject({
    rules: rulesOption(),
    ...storeOptions,
    ...gatewayOptions,
  }),
  create(options, deps) {
    const rules = createRules(options.rules, options.gateways, networkReader(options))
    const scopeOf = createScope(deps, 'rate-limit', options.scope)
    const memory = deps.shared('limits', () => new MemoryLimits(deps.clock))
    const store = options.store === undefined ? undefined : deps.resources.store(options.store)
    const shared =
      store && new SharedLimits({ store, memory, onStoreError: options.onStoreError, clock: deps.clock })
    const count = (decision: string) =>
      deps.metrics.count('sluice_rate_limit_decisions_total', [deps.name, decision])

    function conclude(ctx: FilterContext, verdict: Verdict): FilterReply | undefined {
      const { asks, decisions, by } = verdict
      if (by === 'closed' || by === 'open') {
        count(by)
        return by === 'open' ? undefined : STORE_REFUSAL
      }
      const isAllowed = areAllowed(decisions)
      count(COUNTED_AS[by][isAllowed ? 0 : 1])
      if (options.headers !== 'none') report(ctx, reportedOf(asks, decisions))
      return isAllowed ? undefined : refusal(asks, decisions)
    }

    const replay = createLimitReplay(options, (replayed, ctx) => asksOf(replayed, ctx, scopeOf(ctx)))
    return {
      ...waitForStore(store, deps),
      ...(replay === undefined ? {} : { replay }),
      inbound(ctx) {
        const asks = asksOf(rules, ctx, scopeOf(ctx))
        if (asks === 'deny') {
          count('no_key')
          return { status: 403, code: 'GW_RATE_KEY', reason: NO_KEY }
        }
        if (asks.length === 0) {
          count('skipped')
          return undefined
        }
        if (shared === undefined) {
          return conclude(ctx, { by: 'shared', asks, decisions: memory.decide(asks, limitOf) })
        }
        const verdict = shared.decide(asks)
        if (!(verdict instanceof Promise)) return conclude(ctx, verdict)
        return verdict.then((settled) => conclude(ctx, settled))
      },
      ...(options.headers === 'none' ? {} : { outbound: writeReport(options.headers) }),
    }
  },
})

const limitOf = ({ limit }: Ask) => limit

/** Passed and refused, by who counted. */
const COUNTED_AS = {
  shared: ['allowed', 'limited'],
  cached: ['allowed', 'limited_cached'],
  local: ['local_allowed', 'local_limited'],
} as const

function asksOf(rules: readonly Rule[], ctx: FilterContext, scope: string): Ask[] | 'deny' {
  const asks: Ask[] = []
  for (const rule of rules) {
    if (!rule.matches(ctx)) continue
    const found = rule.keyOf(ctx)
    if (found === 'deny') return 'deny'
    if (found !== 'skip') asks.push(rule.ask(ctx, scope, found.key))
  }
  return asks
}

const reportedOf = (asks: readonly Ask[], decisions: Decisions): Reported[] =>
  asks.map(({ name, limit }, i) => ({
    name,
    quota: limit.limit,
    windowMs: limit.windowMs,
    decision: decisions[i] as Decision,
  }))

function refusal(asks: readonly Ask[], decisions: Decisions): FilterReply {
  const full = asks.filter((_, i) => decisions[i]?.isAllowed === false)
  return {
    status: 429,
    code: 'GW_RATE_LIMITED',
    reason: full
      .map(({ name, limit }) => `${name}: more than ${limit.limit} in ${limit.windowMs / 1000} s`)
      .join('; '),
    headers: { 'Retry-After': retryAfter(decisions.filter(({ isAllowed }) => !isAllowed)) },
  }
}
