import { resolve } from 'node:path'
import { z } from 'zod'
import { errorText } from '../core/errors.ts'
import type { Principal } from '../core/principal.ts'
import { Calendar } from '../limits/calendar.ts'
import { retryAfter } from '../limits/fields.ts'
import { evaluateQuota, QuotaCounters } from '../limits/quota-counters.ts'
import { QuotaFile } from '../limits/quota-file.ts'
import { type QuotaVerdict, SharedQuota } from '../limits/shared-quota.ts'
import { defineFilter, type FilterContext, type FilterDeps, type FilterReply } from './filter.ts'
import { fileOption } from './identity-options.ts'
import { costOption, createCost } from './limit-cost.ts'
import { createKeyReader, keyOption, missingKeyOption, NO_KEY, networkReader } from './limit-key.ts'
import { createMatch, matchOption } from './limit-match.ts'
import { report, writeReport } from './limit-report.ts'
import { createScope, gatewayOptions, STORE_REFUSAL, storeOptions, waitForStore } from './limit-store.ts'

const UNLIMITED = Number.POSITIVE_INFINITY

const quotaLimit = () =>
  z.union([
    z
      .int()
      .min(0)
      .max(Number.MAX_SAFE_INTEGER / 2),
    z.literal('unlimited'),
  ])

const exception = z
  .strictObject({
    principal: z.string().min(1).optional().describe('Id of a principal.'),
    realm: z
      .string()
      .min(1)
      .optional()
      .describe('And its realm, where several issuers may use one id. Default: any.'),
    role: z.string().min(1).optional().describe('Or a role that it has.'),
    limit: quotaLimit().describe('Instead: a number, or `unlimited` = not counted.'),
  })
  .refine(({ principal, role }) => (principal === undefined) !== (role === undefined), {
    error: 'an exception has one of principal and role',
  })
  .refine(({ principal, realm }) => realm === undefined || principal !== undefined, {
    error: 'a realm belongs to a principal',
  })

type Exception = z.output<typeof exception>

/** How much of a limit there is in a day, week or month of the calendar: 429 GW_RATE_QUOTA. */
export const quota = defineFilter({
  name: 'quota',
  summary: 'Limits how much there is in a day, a week or a month of the calendar: 429 with Retry-After.',
  options: z
    .strictObject({
      period: z.enum(['day', 'week', 'month']).describe('Of the calendar; a week begins on Monday.'),
      timeZone: z
        .string()
        .default('UTC')
        .superRefine((zone, ctx) => {
          try {
            new Calendar('day', zone)
          } catch (thrown) {
            ctx.addIssue({ code: 'custom', message: errorText(thrown) })
          }
        })
        .describe('Where the calendar hangs: an IANA name such as Europe/Berlin. Default UTC.'),
      limit: quotaLimit().describe('So much in a period; 0 = nothing, `unlimited` = only exceptions count.'),
      exceptions: z
        .array(exception)
        .default([])
        .describe('Other limits for principals and roles; the first that fits. Default: none.'),
      cost: costOption(),
      key: keyOption(),
      onMissingKey: missingKeyOption(),
      match: matchOption(),
      ...storeOptions,
      ...gatewayOptions,
      persist: fileOption()
        .optional()
        .describe(
          'Without a store: a file that keeps the counts over a restart, written once a second. One gateway a file. Default: a restart forgets.',
        ),
    })
    .refine(({ store, persist }) => store === undefined || persist === undefined, {
      error: 'a store keeps counts by itself: leave persist out',
      path: ['persist'],
    }),
  create(options, deps) {
    const calendar = new Calendar(options.period, options.timeZone)
    const keyOf = createKeyReader(options.key, options.onMissingKey, networkReader(options))
    const [matches, costOf] = [createMatch(options.match), createCost(options.cost)]
    const scopeOf = createScope(deps, 'quota', options.scope)
    const store = options.store === undefined ? undefined : deps.resources.store(options.store)
    const shared = store && new SharedQuota({ ...options, store, calendar, clock: deps.clock })
    const counters = shared === undefined ? countersOf(options.persist, deps) : undefined
    const count = (decision: string) =>
      deps.metrics.count('sluice_rate_limit_decisions_total', [deps.name, decision])

    function decide(key: string, limit: number, cost: number): QuotaVerdict | Promise<QuotaVerdict> {
      if (shared !== undefined && limit > 0) return shared.decide(key, limit, cost)
      const now = deps.clock.now()
      const bounds = calendar.at(now)
      const decision =
        counters?.decide(key, limit, cost, now, bounds) ?? evaluateQuota(0, undefined, cost, now, bounds)
      return { decision, by: 'shared' }
    }

    function conclude(
      ctx: FilterContext,
      { decision, by }: QuotaVerdict,
      quota: number,
    ): FilterReply | undefined {
      if (decision === undefined) {
        count(by)
        return by === 'open' ? undefined : STORE_REFUSAL
      }
      const { isAllowed } = decision
      const prefix = by === 'local' ? 'local_' : ''
      count(`${prefix}${isAllowed ? 'allowed' : 'limited'}${by === 'cached' ? '_cached' : ''}`)
      if (options.headers !== 'none') {
        const { start, end } = calendar.at(deps.clock.now())
        report(ctx, [{ name: deps.name, quota, windowMs: end - start, decision }])
      }
      if (isAllowed) return undefined
      return {
        status: 429,
        code: 'GW_RATE_QUOTA',
        reason: `more than ${quota} in a ${options.period}`,
        headers: { 'Retry-After': retryAfter([decision]) },
      }
    }

    return {
      ...waitForStore(store, deps),
      inbound(ctx) {
        const limit = limitFor(ctx.principal, options.exceptions, options.limit)
        if (limit === UNLIMITED || !matches(ctx)) {
          count('skipped')
          return undefined
        }
        const found = keyOf(ctx)
        if (found === 'skip') {
          count('skipped')
          return undefined
        }
        if (found === 'deny') {
          count('no_key')
          return { status: 403, code: 'GW_RATE_KEY', reason: NO_KEY }
        }
        const key = `q:{${scopeOf(ctx)}|${found.key}}:${options.period}`
        const verdict = decide(key, limit, costOf(ctx))
        if (!(verdict instanceof Promise)) return conclude(ctx, verdict, limit)
        return verdict.then((settled) => conclude(ctx, settled, limit))
      },
      ...(options.headers === 'none' ? {} : { outbound: writeReport(options.headers) }),
    }
  },
})

function countersOf(persist: string | undefined, deps: FilterDeps): QuotaCounters {
  if (persist === undefined) {
    return deps.shared('quotas', () => ({ counters: new QuotaCounters(), close: () => {} })).counters
  }
  const path = resolve(persist)
  const onError = (text: string) => deps.log.warn({ filter: deps.name }, text)
  return deps.shared(`quotas:${path}`, () => new QuotaFile({ path, onError })).counters
}

function limitFor(
  principal: Principal | undefined,
  exceptions: readonly Exception[],
  limit: number | 'unlimited',
): number {
  const found = principal === undefined ? undefined : exceptions.find((one) => fits(one, principal))
  const value = found?.limit ?? limit
  return value === 'unlimited' ? UNLIMITED : value
}

function fits({ principal, realm, role }: Exception, who: Principal): boolean {
  if (role !== undefined) return who.roles.includes(role)
  return who.id === principal && (realm === undefined || who.realm === realm)
}
