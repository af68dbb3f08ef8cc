import { z } from 'zod'
import { duration, headerName, method, name } from './values.ts'

/** The keys `ramp`, `guard` and `mirror` of a canary rule. */

/** 0 to 100 with at most two decimals; becomes 1/10,000. */
export const percent = () =>
  z
    .number()
    .min(0)
    .max(100)
    .transform((value, ctx) => {
      const share = Math.round(value * 100)
      if (Math.abs(value * 100 - share) < 1e-6) return share
      ctx.addIssue({
        code: 'custom',
        message: `${value} has more than two decimals`,
        params: { fix: 'write it in percent with at most two decimals: 0.25' },
      })
      return z.NEVER
    })

/** `2%`, `0.5%`, `1pp`; becomes 0.02, 0.005, 0.01. */
const ratio = () =>
  z.string().transform((value, ctx) => {
    const number = /^(\d+(?:\.\d+)?)(?:%|pp)$/.exec(value.trim())?.[1]
    if (number !== undefined && Number(number) <= 100) return Number(number) / 100
    ctx.addIssue({
      code: 'custom',
      message: `"${value}" is no ratio`,
      params: { fix: 'write it with its unit: 2%, 0.5%; 1pp for percentage points' },
    })
    return z.NEVER
  })

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']

function parseDays(text: string): number[] | undefined {
  const days: number[] = []
  for (const part of text.split(',')) {
    const [first = '', last = first, more] = part.split('-')
    const [from, to] = [DAYS.indexOf(first), DAYS.indexOf(last)]
    if (from === -1 || to === -1 || more !== undefined) return undefined
    for (let day = from; ; day = (day + 1) % 7) {
      days.push(day)
      if (day === to) break
    }
  }
  return days
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}

function parseWindow(text: string) {
  const parts = /^(\S+) (\d\d):(\d\d)-(\d\d):(\d\d)(?: (\S+))?$/.exec(text.trim())
  if (parts === null) return undefined
  const [, dayText = '', h1, m1, h2, m2, zone = 'UTC'] = parts
  const days = parseDays(dayText.toLowerCase())
  const [from, to] = [Number(h1) * 60 + Number(m1), Number(h2) * 60 + Number(m2)]
  const isGood = from < to && to <= 1440 && Number(m1) < 60 && Number(m2) < 60
  if (days === undefined || !isGood || !isTimeZone(zone)) return undefined
  return { days, from, to, zone }
}

const rampWindow = z.string().transform((value, ctx) => {
  const window = parseWindow(value)
  if (window !== undefined) return window
  ctx.addIssue({
    code: 'custom',
    message: `"${value}" is no time window`,
    params: { fix: 'write days, hours and time zone: mon-fri 09:00-17:00 Europe/Berlin' },
  })
  return z.NEVER
})

const instant = z.string().transform((value, ctx) => {
  const at = /(?:Z|[+-]\d\d:\d\d)$/.test(value) ? Date.parse(value) : Number.NaN
  if (!Number.isNaN(at)) return at
  ctx.addIssue({
    code: 'custom',
    message: `"${value}" is no point in time`,
    params: { fix: 'write it with its offset: 2026-11-25T09:00:00+08:00' },
  })
  return z.NEVER
})

const step = z
  .strictObject({
    percent: percent().describe('Share of this step, two decimals.'),
    for: duration().optional().describe('It lasts at least so long. Default 0 with hold, else required.'),
    minRequests: z
      .int()
      .min(0)
      .default(0)
      .describe('And until the canary has answered so many requests. 0 = no minimum. Default 0.'),
    hold: z.boolean().default(false).describe('Stay until a person promotes. Default false.'),
  })
  .refine((value) => value.for !== undefined || value.hold || value.percent === 10_000, {
    message: 'the step says neither how long it lasts nor that a person promotes it',
    params: { fix: 'add for: 10m, or hold: true' },
  })

export const ramp = z
  .strictObject({
    start: instant
      .optional()
      .describe(
        'When it begins. Default: at once. With hold: true in the first step a person takes it from there.',
      ),
    windows: z
      .array(rampWindow)
      .default([])
      .describe('No step upwards outside of these: mon-fri 09:00-17:00 Europe/Berlin. Default: any time.'),
    steps: z.array(step).min(1).describe('In order, each with a larger share.'),
  })
  .superRefine(({ steps }, ctx) => {
    steps.forEach((one, i) => {
      const before = steps[i - 1]
      if (before === undefined || one.percent > before.percent) return
      ctx.addIssue({
        code: 'custom',
        message: `step ${i + 1} (${one.percent / 100}%) is not above step ${i} (${before.percent / 100}%)`,
        path: ['steps', i, 'percent'],
        params: { fix: 'write the steps in ascending order' },
      })
    })
    const last = steps.at(-1)
    if (last === undefined || last.percent === 10_000 || last.hold) return
    ctx.addIssue({
      code: 'custom',
      message: `the ramp ends at ${last.percent / 100}% and nobody says what comes then`,
      path: ['steps', steps.length - 1],
      params: { fix: 'end with a step of percent: 100, or give the last one hold: true' },
    })
  })

const compareTo = z
  .literal('stable')
  .optional()
  .describe('In the same time as stable; says the same as a limit against it.')

const errorRatio = z.strictObject({
  metric: z.literal('error-ratio').describe('5xx and failed connections; never 4xx and clients that left.'),
  max: ratio().optional().describe('At most so many: 2%.'),
  maxIncrease: ratio().optional().describe('At most so many more than stable: 1pp.'),
  compareTo,
})

const latency = z.strictObject({
  metric: z.enum(['latency-p50', 'latency-p90', 'latency-p95', 'latency-p99']),
  max: duration().optional().describe('At most so long: 800ms.'),
  maxRatio: z.number().min(1).optional().describe('At most so many times that of stable: 1.3.'),
  compareTo,
})

const headerRatio = z.strictObject({
  metric: z.literal('header-ratio'),
  header: headerName().describe('Answers that carry this header count as bad.'),
  max: ratio().optional().describe('At most so many: 0.5%.'),
  maxIncrease: ratio().optional().describe('At most so many more than stable: 1pp.'),
  compareTo,
})

const prometheus = z.strictObject({
  metric: z.literal('prometheus'),
  name: name().optional().describe('For reports. Default prometheus-N, its place among the checks.'),
  query: z.string().min(1).describe('PromQL with one number as its result.'),
  max: z.number().optional().describe('At most this.'),
  min: z.number().optional().describe('At least this.'),
  optional: z.boolean().default(false).describe('Without an answer a step may still end. Default false.'),
})

const guardCheck = z
  .discriminatedUnion('metric', [errorRatio, latency, headerRatio, prometheus])
  .superRefine((value, ctx) => {
    const issue = (message: string, fix: string) => ctx.addIssue({ code: 'custom', message, params: { fix } })
    const bound = value.metric.startsWith('latency') ? 'maxRatio' : 'maxIncrease'
    if (value.metric === 'prometheus') {
      if (value.max === undefined && value.min === undefined)
        issue('the check has no limit', 'add max, or min')
      return
    }
    const hasBound = value[bound as keyof typeof value] !== undefined
    if (value.compareTo !== undefined && !hasBound)
      issue('the check compares with stable and has no limit for that', `add ${bound}`)
    else if (value.max === undefined && !hasBound) issue('the check has no limit', `add max, or ${bound}`)
  })

/** Unique within a guard: what was seen is kept under it. */
export function checkName(input: z.output<typeof guardCheck>, index: number): string {
  if (input.metric === 'header-ratio') return `header-ratio ${input.header}`
  return input.metric === 'prometheus' ? (input.name ?? `prometheus-${index + 1}`) : input.metric
}

export const guard = z.strictObject({
  interval: duration()
    .default(30_000)
    .describe('Time between two questions of a prometheus check. Default 30s.'),
  minRequests: z
    .int()
    .min(0)
    .default(200)
    .describe('With fewer requests of the canary in a step it goes no further. Default 200.'),
  checks: z
    .array(guardCheck)
    .min(1)
    .superRefine((checks, ctx) => {
      const names = checks.map(checkName)
      names.forEach((one, i) => {
        if (names.indexOf(one) === i) return
        const params = { fix: 'keep one of them' }
        ctx.addIssue({ code: 'custom', message: `check "${one}" stands twice`, path: [i], params })
      })
    })
    .default([])
    .describe('All must hold. Default: none, only contracts are watched.'),
  confidence: z
    .number()
    .min(0.5)
    .max(0.9999)
    .default(0.99)
    .describe('How sure it must be, over one step and all checks, that the canary is worse. Default 0.99.'),
  failures: z
    .int()
    .min(1)
    .default(3)
    .describe('Bad values of a prometheus check in a row until onFail. Default 3.'),
  inconclusive: z.literal('hold').default('hold').describe('Missing data neither promotes nor aborts.'),
  onFail: z
    .enum(['rollback', 'hold'])
    .default('rollback')
    .describe('rollback = percent 0 in one step, pins to the canary are released. Default rollback.'),
  contract: z
    .enum(['hold', 'rollback', 'ignore'])
    .default('hold')
    .describe(
      'When the canary drops or retypes a field of a route with a contract: hold = no step upwards until a person says so. Default hold.',
    ),
  keepPins: z.array(z.string()).default([]).describe('Names of match entries that a rollback keeps.'),
  notify: z
    .array(z.strictObject({ webhook: z.string().describe('URL that gets a POST; empty = none.') }))
    .default([])
    .describe('Who hears of it.'),
})

export const mirror = z.strictObject({
  percent: percent().default(0).describe('Share that is also sent to the canary. Default 0.'),
  methods: z.array(method()).default(['GET', 'HEAD']).describe('Default [GET, HEAD].'),
  compare: z.boolean().default(false).describe('Compare the answers. Default false.'),
})

export type RampInput = z.output<typeof ramp>
export type GuardInput = z.output<typeof guard>
export type MirrorInput = z.output<typeof mirror>
