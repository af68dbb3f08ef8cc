import type {
  CanaryKey,
  CanaryMatch,
  CanaryRule,
  GuardCheckSpec,
  GuardSpec,
  LaneRule,
  RampSpec,
  ValueCondition,
  ValueMatch,
  VersionSelector,
} from '../core/canary.ts'
import type { CanaryInput, LaneInput } from './canaries.ts'
import { checkName, type GuardInput, type RampInput } from './canary-ramp.ts'

type MatchInput = CanaryInput['match'][number]
type ValueInput = NonNullable<MatchInput['header']>[string]
type SelectorInput = NonNullable<CanaryInput['canary']>
type Common = Omit<LaneInput, 'select' | 'services' | 'percent' | 'header' | 'whenEmpty'>

/** Users by path of the file that lists them. */
export type UserLists = (path: string) => readonly string[]

function toSelector({ version, tag, meta }: SelectorInput): VersionSelector {
  return {
    ...(version === undefined ? {} : { version }),
    ...(tag === undefined ? {} : { tag }),
    ...(meta === undefined ? {} : { meta }),
  }
}

function toValue(input: ValueInput): ValueMatch {
  if (typeof input === 'string') return { kind: 'exact', value: input }
  if ('exact' in input) return { kind: 'exact', value: input.exact }
  if ('prefix' in input) return { kind: 'prefix', value: input.prefix }
  if ('regex' in input) return { kind: 'regex', value: input.regex }
  if ('in' in input) return { kind: 'in', values: input.in }
  return { kind: input.present ? 'present' : 'absent' }
}

const toConditions = (input: Record<string, ValueInput> | undefined): ValueCondition[] =>
  Object.entries(input ?? {}).map(([name, value]) => ({ name, match: toValue(value) }))

function toMatch(input: MatchInput, users: UserLists): CanaryMatch {
  const { user } = input
  const listed = [...(user?.in ?? []), ...(user?.file === undefined ? [] : users(user.file))]
  const hasList = user?.in !== undefined || user?.file !== undefined
  return {
    ...(input.name === undefined ? {} : { name: input.name }),
    headers: toConditions(input.header),
    cookies: toConditions(input.cookie),
    query: toConditions(input.query),
    claims: toConditions(input.claim),
    ...(hasList ? { users: listed } : {}),
    ...(user?.hash === undefined ? {} : { userShare: user.hash.lt }),
    networks: input.ip ?? [],
    isTrustedOnly: input.from === 'trusted',
    side: input.side,
  }
}

function toKey(text: string): CanaryKey {
  if (text === 'ip') return { kind: 'ip' }
  const dot = text.indexOf('.')
  const kind = text.slice(0, dot) as 'claim' | 'header' | 'cookie'
  const name = text.slice(dot + 1)
  return { kind, name: kind === 'header' ? name.toLowerCase() : name }
}

function toKeys(input: Common): CanaryKey[] {
  const { key, cookie } = input
  if (key !== undefined) {
    const keys = key.map(toKey)
    // A cookie that is given out is a key, wherever nothing better is.
    const isKnown = keys.some((one) => one.kind === 'cookie' && one.name === cookie?.name)
    if (cookie === undefined || isKnown) return keys
    const ip = keys.findIndex((one) => one.kind === 'ip')
    return keys.toSpliced(ip === -1 ? keys.length : ip, 0, { kind: 'cookie', name: cookie.name })
  }
  const subject: CanaryKey = { kind: 'claim', name: 'sub' }
  return [subject, cookie === undefined ? { kind: 'ip' } : { kind: 'cookie', name: cookie.name }]
}

function toCommon(input: Common, source: string, users: UserLists) {
  const { name, routes, match, cookie, salt } = input
  return {
    name,
    source,
    routes: routes.includes('*') ? [] : routes,
    match: match.map((entry) => toMatch(entry, users)),
    keys: toKeys(input),
    ...(cookie === undefined
      ? {}
      : {
          cookie: {
            name: cookie.name,
            maxAgeMs: cookie.maxAge,
            isSecure: cookie.secure,
            sameSite: cookie.sameSite,
          },
        }),
    ...(salt === undefined ? {} : { salt }),
  }
}

function toRamp({ start, windows, steps }: RampInput): RampSpec {
  return {
    ...(start === undefined ? {} : { start }),
    windows,
    steps: steps.map((step) => ({
      percent: step.percent,
      forMs: step.for ?? 0,
      minRequests: step.minRequests,
      hold: step.hold,
    })),
  }
}

function toCheck(input: GuardInput['checks'][number], index: number): GuardCheckSpec {
  const name = checkName(input, index)
  switch (input.metric) {
    case 'error-ratio':
    case 'header-ratio':
      return {
        kind: 'share',
        name,
        ...(input.metric === 'header-ratio' ? { header: input.header } : {}),
        ...(input.max === undefined ? {} : { max: input.max }),
        ...(input.maxIncrease === undefined ? {} : { maxIncrease: input.maxIncrease }),
      }
    case 'prometheus':
      return {
        kind: 'value',
        name,
        query: input.query,
        optional: input.optional,
        ...(input.max === undefined ? {} : { max: input.max }),
        ...(input.min === undefined ? {} : { min: input.min }),
      }
    default:
      return {
        kind: 'latency',
        name,
        quantile: Number(input.metric.slice('latency-p'.length)) / 100,
        ...(input.max === undefined ? {} : { maxMs: input.max }),
        ...(input.maxRatio === undefined ? {} : { maxRatio: input.maxRatio }),
      }
  }
}

function toGuard(input: GuardInput): GuardSpec {
  const { interval, minRequests, checks, confidence, failures, onFail, contract, keepPins, notify } = input
  return {
    intervalMs: interval,
    minRequests,
    checks: checks.map(toCheck),
    // 1 - 0.99 is a little more than 0.01.
    falseAlarm: Math.round((1 - confidence) * 1e6) / 1e6,
    failures,
    onFail,
    contract,
    keepPins,
    webhooks: notify.map(({ webhook }) => webhook).filter((url) => url !== ''),
  }
}

/** A checked rule. */
export function toCanary(input: CanaryInput, source: string, users: UserLists): CanaryRule {
  const { service, stable, canary, variants, percent, forward, whenCanaryEmpty, ramp, guard, mirror } = input
  return {
    kind: 'canary',
    ...toCommon(input, source, users),
    service,
    ...(stable === undefined ? {} : { stable: toSelector(stable) }),
    variants:
      variants?.map((one) => ({ name: one.name, select: toSelector(one.select), percent: one.percent })) ??
      (canary === undefined ? [] : [{ name: 'canary', select: toSelector(canary), percent: percent ?? 0 }]),
    forward,
    whenEmpty: whenCanaryEmpty,
    ...(ramp === undefined ? {} : { ramp: toRamp(ramp) }),
    ...(guard === undefined ? {} : { guard: toGuard(guard) }),
    ...(mirror === undefined
      ? {}
      : { mirror: { percent: mirror.percent, methods: mirror.methods, isCompared: mirror.compare } }),
  }
}

/** A checked lane. */
export function toLane(input: LaneInput, source: string, users: UserLists): LaneRule {
  const { select, services, percent, header, whenEmpty } = input
  return {
    kind: 'lane',
    ...toCommon(input, source, users),
    ...(select === undefined ? {} : { select: toSelector(select) }),
    services: Object.fromEntries(Object.entries(services).map(([name, one]) => [name, toSelector(one)])),
    percent,
    forward: header,
    whenEmpty,
  }
}
