import type { TextMatch } from './text-match.ts'

/**
 * Grey releases as the configuration declares them: checked, defaults filled in, durations in ms, shares in 1/10,000.
 * `config` produces these; `routing` compiles them.
 */

/** Which instances make up a side. All that is given must hold; `version` may hold `*` for any text. */
export interface VersionSelector {
  readonly version?: string
  readonly tag?: string
  readonly meta?: Readonly<Record<string, string>>
}

/** How one text must look; `in`: one of these. */
export type ValueMatch = TextMatch | { readonly kind: 'in'; readonly values: readonly string[] }

/** A condition on one named field. Header names are lower case. */
export interface ValueCondition {
  readonly name: string
  readonly match: ValueMatch
}

/** One entry of `match`: all its conditions must hold, then the side is pinned. */
export interface CanaryMatch {
  readonly name?: string
  readonly headers: readonly ValueCondition[]
  readonly cookies: readonly ValueCondition[]
  readonly query: readonly ValueCondition[]
  readonly claims: readonly ValueCondition[]
  /** Ids of users, lists in files included. Absent = any user. */
  readonly users?: readonly string[]
  /** Share of the users, in 1/10,000. */
  readonly userShare?: number
  /** CIDR or single addresses. Empty = any. */
  readonly networks: readonly string[]
  /** Only requests from trusted proxies. */
  readonly isTrustedOnly: boolean
  readonly side: string
}

/** What a user is recognised by: the first one present counts. Header names are lower case. */
export type CanaryKey =
  | { readonly kind: 'claim' | 'header' | 'cookie'; readonly name: string }
  | { readonly kind: 'ip' }

/** The cookie given to clients that nothing else recognises. Its value is a random id, never the side. */
export interface CanaryCookie {
  readonly name: string
  readonly maxAgeMs: number
  readonly isSecure: boolean
  readonly sameSite: 'lax' | 'strict' | 'none'
}

/** A side that is not stable. */
export interface CanaryVariant {
  readonly name: string
  readonly select: VersionSelector
  /** In 1/10,000 of the traffic. */
  readonly percent: number
}

/** A share of the traffic and how long it is watched. */
export interface RampStepSpec {
  /** In 1/10,000. */
  readonly percent: number
  /** At least so long. ms. */
  readonly forMs: number
  /** And at least so many requests of the canary. */
  readonly minRequests: number
  /** A person promotes. */
  readonly hold: boolean
}

/** Times of the week when steps upwards may be taken. */
export interface RampWindowSpec {
  /** 0 = Sunday. */
  readonly days: readonly number[]
  /** Minutes of the day; `to` is not included. */
  readonly from: number
  readonly to: number
  /** IANA name. */
  readonly zone: string
}

export interface RampSpec {
  /** ms since the epoch. Absent = at once. */
  readonly start?: number
  /** Empty = always. */
  readonly windows: readonly RampWindowSpec[]
  readonly steps: readonly RampStepSpec[]
}

/** What one check of a guard compares; names are unique within a guard. Shares are 0 to 1. */
export type GuardCheckSpec =
  | {
      readonly kind: 'share'
      /**
       * `error-ratio`: 5xx and failures of ours to reach the instance. `header-ratio x-order-failed`: answers that have a
       * header.
       */
      readonly name: string
      /** For `header-ratio`, lower case. */
      readonly header?: string
      /** More than this is bad, whatever stable does. */
      readonly max?: number
      /** More than this above stable is bad; absent = not compared. */
      readonly maxIncrease?: number
    }
  | {
      readonly kind: 'latency'
      readonly name: string
      readonly quantile: number
      readonly maxMs?: number
      /** Times that of stable. */
      readonly maxRatio?: number
    }
  | {
      /** A number that somebody else measures. */
      readonly kind: 'value'
      readonly name: string
      /** PromQL. */
      readonly query: string
      readonly max?: number
      readonly min?: number
      /** Without an answer the step may still end. */
      readonly optional: boolean
    }

/** `hold`: no step upwards until a person has seen it. */
export type ContractRule = 'hold' | 'rollback' | 'ignore'

export interface GuardSpec {
  /** Between two questions of a `value` check. */
  readonly intervalMs: number
  /** Fewer requests of the canary in a step: it goes no further. */
  readonly minRequests: number
  readonly checks: readonly GuardCheckSpec[]
  /** Chance of calling a canary bad that is like stable, over one step, all checks and looks together. 0 to 1. */
  readonly falseAlarm: number
  /** Bad values of a `value` check in a row until `onFail`. */
  readonly failures: number
  readonly onFail: 'rollback' | 'hold'
  /** When a version does not keep the contract of a route: what is done. */
  readonly contract: ContractRule
  /** Names of entries of `match` that stay after a rollback. */
  readonly keepPins: readonly string[]
  /** URLs that hear of each decision. */
  readonly webhooks: readonly string[]
}

export interface CanaryMirrorSpec {
  /** In 1/10,000. */
  readonly percent: number
  readonly methods: readonly string[]
  readonly isCompared: boolean
}

/** What rules and lanes have in common. */
interface ReleaseCommon {
  /** Unique over rules and lanes. */
  readonly name: string
  /** `file:line:column`. */
  readonly source: string
  /** Names of routes; empty = all. */
  readonly routes: readonly string[]
  readonly match: readonly CanaryMatch[]
  readonly keys: readonly CanaryKey[]
  readonly cookie?: CanaryCookie
  /** Rules with the same salt split users alike. Absent = each by itself. */
  readonly salt?: string
  /** Request header with the decision, lower case. */
  readonly forward: string
  /** Nobody of the side is there: `stable` answers, or nobody (503). */
  readonly whenEmpty: 'stable' | 'fail'
}

/** One release of one service: stable, and one or more sides beside it. */
export interface CanaryRule extends ReleaseCommon {
  readonly kind: 'canary'
  readonly service: string
  /** Absent = every instance of no other side. */
  readonly stable?: VersionSelector
  /** A canary rule has one, named `canary`. */
  readonly variants: readonly CanaryVariant[]
  readonly ramp?: RampSpec
  readonly guard?: GuardSpec
  readonly mirror?: CanaryMirrorSpec
}

/** One release over several services: who is in it meets its version of every service that has one. */
export interface LaneRule extends ReleaseCommon {
  readonly kind: 'lane'
  /** For every service that `services` does not name. */
  readonly select?: VersionSelector
  readonly services: Readonly<Record<string, VersionSelector>>
  /** In 1/10,000. */
  readonly percent: number
}

export type ReleaseRule = CanaryRule | LaneRule

/** The name of the side of everybody else; no variant and no lane may have it. */
export const STABLE = 'stable'

/** Of 10,000: one percent is 100. */
export const WHOLE = 10_000

/** What a rule is doing now, where that is not what its file says. */
export interface CanaryLive {
  /** 0 to 10,000. Of a rule with variants: the sum that they are scaled to. */
  readonly percent: number
  /** `ramping`, `aborted` … */
  readonly state: string
  /** Rolled back: pins to a side other than stable count no more, except those of `guard.keepPins`. */
  readonly releasedPins?: boolean
}

/** By name of the rule. */
export type CanaryStates = ReadonlyMap<string, CanaryLive>

/** `5%`, `12.5%` of a share in 1/10,000. */
export const percentText = (share: number): string => `${share / 100}%`

/** `version 2.*, tag blue` */
export function selectorText({ version, tag, meta }: VersionSelector): string {
  const parts = version === undefined ? [] : [`version ${version}`]
  if (tag !== undefined) parts.push(`tag ${tag}`)
  for (const [name, value] of Object.entries(meta ?? {})) parts.push(`meta ${name}=${value}`)
  return parts.join(', ')
}
