import { z } from 'zod'
import {
  type BreakerPolicy,
  type CheckPolicy,
  DEFAULT_HEALTH,
  type HealthPolicy,
  type OutlierPolicy,
} from '../core/health-policy.ts'
import { duration } from './values.ts'

/** Health on the data path, as people write it: ejection, checks, breaker, panic, zones. */

const inARow = () => z.int().min(0).max(1000)
const share = () => z.number().min(0).max(1)
const interval = () =>
  duration().refine((ms) => ms >= 100, {
    error: 'is shorter than 100ms',
    params: { fix: 'write at least 100ms' },
  })

const outlier = z
  .strictObject({
    connectFailures: inARow().describe(
      'Connects that failed in a row (refused, timed out, TLS) until an instance is ejected. 0 = never. Default 1.',
    ),
    localFailures: inARow().describe(
      'The same for resets, timeouts and answers that are no HTTP, in a row, where other instances do clearly better. 0 = never. Default 3.',
    ),
    gatewayErrors: inARow().describe('The same for answers 502, 503 and 504 in a row. 0 = never. Default 5.'),
    serverErrors: inARow().describe(
      'The same for answers 5xx and failures of any kind in a row (501 and 505 speak of the request and do not count). 0 = never. Default 5.',
    ),
    successRate: z
      .strictObject({
        stdevs: z
          .number()
          .min(0)
          .max(10)
          .describe(
            'Ejected is who lies this many standard deviations, and 5 points of a hundred, below the mean. 0 = off. Default 1.9.',
          ),
        minInstances: z.int().min(2).describe('With fewer that have enough requests nobody is. Default 5.'),
        minRequests: z.int().min(1).describe('Requests of an instance within the interval. Default 100.'),
      })
      .partial()
      .describe('Compares the success rates of the instances, once an interval.'),
    failurePercent: z
      .strictObject({
        percent: z.int().min(0).max(100).describe('0 = off. Default 85.'),
        minInstances: z.int().min(2).describe('With fewer that have enough requests nobody is. Default 3.'),
        minRequests: z.int().min(1).describe('Requests of an instance within the interval. Default 50.'),
      })
      .partial()
      .describe('Failures of an instance within the interval, when the others have at most half of that.'),
    interval: interval().describe('Between two looks at rates; heals one ejection each. Default 10s.'),
    connectTime: duration().describe(
      'Time out after a failed connect, times the number of ejections, at most twelve times this. Default 5s.',
    ),
    baseTime: duration().describe(
      'Time out for every other reason, times the number of ejections. Default 30s.',
    ),
    maxTime: duration().describe('Longest time out. Default 5m, or baseTime if that is longer.'),
    jitter: share().describe(
      'Share of the time that is added at random, so that not all come back at once. Default 0.1.',
    ),
    maxEjected: share().describe(
      'Share of the instances that may be out at a time; of two or three it is one, the last one never. 0 = none. Default 0.5.',
    ),
  })
  .partial()

const breaker = z
  .strictObject({
    failurePercent: z.int().min(1).max(100).describe('Opens from this share of failed tries on. Default 50.'),
    minRequests: z.int().min(1).describe('Fewer tries within the window say nothing. Default 20.'),
    window: interval().describe('What is counted: the last 10s by default.'),
    openFor: interval().describe('Requests are refused (503) for this long. Default 5s.'),
    halfOpenProbes: z
      .int()
      .min(1)
      .max(100)
      .describe('Then this many requests at a time try it; as many successes close it. Default 3.'),
  })
  .partial()

const check = z
  .strictObject({
    type: z.enum(['http', 'tcp']).describe('http: ask for path. tcp: connect. Default http.'),
    path: z.string().startsWith('/').describe('Path and query. Default /health.'),
    method: z.enum(['GET', 'HEAD']).describe('Default GET.'),
    host: z.string().min(1).describe('Host header. Default: the address of the instance.'),
    expect: z.array(z.int().min(200).max(599)).min(1).describe('Statuses that mean healthy. Default: 2xx.'),
    interval: interval().describe('Between two checks of one instance. Default 10s.'),
    timeout: interval().describe('For the whole check. Default 2s.'),
    healthyAfter: z.int().min(1).max(100).describe('Good ones in a row to be healthy again. Default 2.'),
    unhealthyAfter: z.int().min(1).max(100).describe('Bad ones in a row to be unhealthy. Default 3.'),
    jitter: share().describe('Share of the interval by which each wait varies. Default 0.1.'),
  })
  .partial()

/** Keys of `defaults` and of each service. */
export const healthShape = {
  outlier: outlier.describe('Ejection of instances by what their requests meet; see docs/health.md.'),
  breaker: z
    .union([z.literal(false), breaker])
    .describe('Circuit breaker of the whole service; {} = with its defaults, false = off. Default off.'),
  check: z
    .union([z.literal(false), check])
    .describe(
      'Checks by the gateway itself, beside those of the registry; {} = with its defaults, false = off. Default off.',
    ),
  panic: share().describe(
    'With less than this share of the instances in rotation ejections are ignored, so that the rest is not overrun. 0 = never. Default 0.5.',
  ),
  zone: z
    .enum(['off', 'prefer', 'strict'])
    .describe(
      'prefer: instances in the zone of the gateway (key zone) first; the more of them are out, the more goes elsewhere. strict: never elsewhere. Default off.',
    ),
}

const health = z.strictObject(healthShape).partial()
export type HealthInput = z.output<typeof health>

type Checks = Exclude<NonNullable<HealthInput['check']>, false>
type Breaks = Exclude<NonNullable<HealthInput['breaker']>, false>
type Outliers = NonNullable<HealthInput['outlier']>

function merged<T extends object>(
  ...parts: (T | undefined | false)[]
): { [K in keyof T]?: NonNullable<T[K]> } {
  const out: Record<string, unknown> = {}
  for (const part of parts) {
    if (part === undefined || part === false) continue
    for (const [key, value] of Object.entries(part)) if (value !== undefined) out[key] = value
  }
  return out as never
}

function toOutlier(defaults: Outliers | undefined, own: Outliers | undefined): OutlierPolicy {
  const base = DEFAULT_HEALTH.outlier
  const { interval, connectTime, baseTime, maxTime, successRate, failurePercent, ...rest } = merged(
    defaults,
    own,
  )
  return {
    ...base,
    ...rest,
    successRate: { ...base.successRate, ...merged(defaults?.successRate, successRate) },
    failurePercent: { ...base.failurePercent, ...merged(defaults?.failurePercent, failurePercent) },
    intervalMs: interval ?? base.intervalMs,
    connectTimeMs: connectTime ?? base.connectTimeMs,
    baseTimeMs: baseTime ?? base.baseTimeMs,
    maxTimeMs: maxTime ?? Math.max(base.maxTimeMs, baseTime ?? 0),
  }
}

function toBreaker(input: Breaks): BreakerPolicy {
  return {
    failurePercent: input.failurePercent ?? 50,
    minRequests: input.minRequests ?? 20,
    windowMs: input.window ?? 10_000,
    openForMs: input.openFor ?? 5000,
    halfOpenProbes: input.halfOpenProbes ?? 3,
  }
}

const SUCCESSES = Array.from({ length: 100 }, (_, i) => 200 + i)

function toCheck(input: Checks): CheckPolicy {
  return {
    type: input.type ?? 'http',
    path: input.path ?? '/health',
    method: input.method ?? 'GET',
    expect: input.expect ?? SUCCESSES,
    intervalMs: input.interval ?? 10_000,
    timeoutMs: input.timeout ?? 2000,
    healthyAfter: input.healthyAfter ?? 2,
    unhealthyAfter: input.unhealthyAfter ?? 3,
    jitter: input.jitter ?? 0.1,
    ...(input.host === undefined ? {} : { host: input.host }),
  }
}

/** What is on: the service's own word over that of `defaults`, key by key. */
function chosen<T extends object>(
  own: T | false | undefined,
  defaults: T | false | undefined,
): T | undefined {
  if (own === false || (own === undefined && (defaults === false || defaults === undefined))) return undefined
  return merged(defaults, own) as T
}

/** The health settings of one service: its own over `defaults` over ours. */
export function toHealth(own: HealthInput, defaults: HealthInput): HealthPolicy {
  const breaks = chosen(own.breaker, defaults.breaker)
  const checks = chosen(own.check, defaults.check)
  return {
    outlier: toOutlier(defaults.outlier, own.outlier),
    panic: own.panic ?? defaults.panic ?? DEFAULT_HEALTH.panic,
    zone: own.zone ?? defaults.zone ?? DEFAULT_HEALTH.zone,
    ...(breaks === undefined ? {} : { breaker: toBreaker(breaks) }),
    ...(checks === undefined ? {} : { check: toCheck(checks) }),
  }
}
