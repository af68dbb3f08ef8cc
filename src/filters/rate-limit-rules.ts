import { z } from 'zod'
import { parseDuration } from '../core/duration.ts'
import { errorText } from '../core/errors.ts'
import type { Ask } from '../limits/ask.ts'
import { compileLimit, type Limit, type LimitSpec } from '../limits/limit.ts'
import type { FilterContext } from './filter.ts'
import { costOption, createCost, maxCost } from './limit-cost.ts'
import { createKeyReader, type KeyReader, keyOption, missingKeyOption } from './limit-key.ts'
import { createMatch, matchOption } from './limit-match.ts'

/** `100/1m`, `5/s`: so many in a time. */
const rate = () =>
  z.string().transform((text, ctx) => {
    const [, count, time = ''] = /^(\d{1,15})\/(\d.*|[smhd])$/.exec(text) ?? []
    const windowMs = parseDuration(/^\d/.test(time) ? time : `1${time}`)
    if (count !== undefined && windowMs !== undefined && windowMs > 0)
      return { limit: Number(count), windowMs }
    ctx.addIssue({ code: 'custom', message: `"${text}" is no rate; write 100/1m, 5/s, 1000/24h` })
    return z.NEVER
  })

const ruleOption = z
  .strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z0-9](?:[\w.:-]*\w)?$/, { error: 'letters, digits, and . _ : - between them' })
      .max(64)
      .optional()
      .describe(
        'In headers and counters. Default: rule-1, rule-2 … by its place; a name keeps counters when rules move.',
      ),
    rate: rate().describe('So many in a time: 100/1m, 5/s. 0/1s lets nothing pass.'),
    algorithm: z
      .enum(['token-bucket', 'sliding-window', 'fixed-window'])
      .default('token-bucket')
      .describe(
        '`token-bucket`: a burst, then evenly; `sliding-window`: the limit in any window, near enough; `fixed-window`: up to twice the limit around the end of a window. Default token-bucket.',
      ),
    burst: z
      .int()
      .min(1)
      .optional()
      .describe('Token bucket: how many may come at once. Default: as many as in the time.'),
    cost: costOption(),
    key: keyOption(),
    onMissingKey: missingKeyOption(),
    match: matchOption(),
  })
  .superRefine((rule, ctx) => {
    const add = (message: string, path: string[]) => ctx.addIssue({ code: 'custom', message, path })
    const { limit, windowMs } = rule.rate
    if (rule.burst !== undefined && rule.algorithm !== 'token-bucket') {
      add('only a token-bucket has a burst', ['burst'])
    }
    if (rule.burst !== undefined && limit === 0) add('a rate of 0 lets no burst in', ['burst'])
    if (rule.algorithm === 'fixed-window' && windowMs % 1000 !== 0) {
      add('a fixed-window lasts whole seconds', ['rate'])
    }
    if (limit > 0 && maxCost(rule.cost) > (rule.burst ?? limit)) {
      add('a request may cost more than ever is there: raise burst or rate', ['cost'])
    }
    try {
      compileLimit(specOf(rule))
    } catch (thrown) {
      add(errorText(thrown), ['rate'])
    }
  })

export const rulesOption = () =>
  z
    .array(ruleOption)
    .min(1)
    .superRefine((rules, ctx) => {
      const names = rules.map(({ name }, i) => name ?? defaultName(i))
      names.forEach((name, i) => {
        if (names.indexOf(name) === i) return
        ctx.addIssue({ code: 'custom', message: `two rules are called "${name}"`, path: [i, 'name'] })
      })
    })
    .describe('Limits; a request passes when all of them let it, and otherwise counts in none.')

export type RuleOption = z.output<ReturnType<typeof rulesOption>>[number]

const defaultName = (i: number): string => `rule-${i + 1}`

const specOf = ({ algorithm, rate, burst }: Pick<RuleOption, 'algorithm' | 'rate' | 'burst'>): LimitSpec => ({
  algorithm,
  ...rate,
  burst: burst ?? rate.limit,
})

/** What one of several gateways lets in by itself. At least the largest request passes. */
function shareOf(spec: LimitSpec, gateways: number, largest: number): Limit {
  if (spec.limit === 0) return compileLimit(spec)
  const share = (number: number) => Math.max(largest, Math.floor(number / gateways))
  const isBucket = spec.algorithm === 'token-bucket'
  const limit = isBucket ? Math.max(1, Math.floor(spec.limit / gateways)) : share(spec.limit)
  return compileLimit({ ...spec, limit, burst: isBucket ? share(spec.burst) : limit })
}

/** A rule ready to be asked. */
export interface Rule {
  readonly name: string
  readonly limit: Limit
  matches(ctx: FilterContext): boolean
  readonly keyOf: KeyReader
  /** The question for one counter. `scope`: who shares counters. */
  ask(ctx: FilterContext, scope: string, key: string): Ask
}

export function createRules(
  options: readonly RuleOption[],
  gateways: number,
  network: (address: string) => string,
): Rule[] {
  return options.map((option, i) => createRule(option, option.name ?? defaultName(i), gateways, network))
}

function createRule(
  option: RuleOption,
  name: string,
  gateways: number,
  network: (address: string) => string,
): Rule {
  const spec = specOf(option)
  const limit = compileLimit(spec)
  const local = shareOf(spec, gateways, maxCost(option.cost))
  const costOf = createCost(option.cost)
  // Neither limit nor burst: counters survive an edit of them. A window of another length is another count.
  const kind = {
    'token-bucket': 'b',
    'sliding-window': `s${spec.windowMs}`,
    'fixed-window': `f${spec.windowMs}`,
  }
  const tail = `}:${name}:${kind[spec.algorithm]}`
  return {
    name,
    limit,
    matches: createMatch(option.match),
    keyOf: createKeyReader(option.key, option.onMissingKey, network),
    ask(ctx, scope, key) {
      const tag = `${scope}|${key}`
      return { name, key: `rl:{${tag}${tail}`, tag, limit, local, cost: costOf(ctx) }
    },
  }
}
