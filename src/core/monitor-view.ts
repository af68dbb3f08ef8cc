import type { InstanceState } from './types.ts'

/** What the monitor tells: history, flapping, alerts. Plain data, no secrets. Times: ms since the epoch. */

/** A state as the history has it: `ejected` = taken out by the gateway itself, `gone` = no longer listed. */
export type HistoryState = InstanceState | 'ejected' | 'gone'

/** One change in the life of an instance, as this gateway saw it. */
export interface HistoryEntry {
  readonly at: number
  readonly service: string
  /** The instance's key. */
  readonly key: string
  /** `address:port`. */
  readonly address: string
  readonly version?: string
  /** Absent: it was not there. */
  readonly from?: HistoryState
  readonly to: HistoryState
  readonly what: 'appeared' | 'changed' | 'left' | 'ejected' | 'returned'
  /** In words: the output of the check that failed, what requests met. At most 300 characters. */
  readonly reason?: string
  /** It happened while the gateway was down: `at` is when that was found. */
  readonly away?: true
}

/** One change in how a registry answers. */
export interface RegistryEntry {
  readonly at: number
  readonly registry: string
  /** Absent: the first that is known. */
  readonly from?: string
  readonly to: string
  /** Its error, at most 300 characters. */
  readonly reason?: string
}

/** An instance that changes too often. */
export interface FlappingView {
  readonly service: string
  readonly key: string
  readonly address: string
  /** Within `monitor.flapping.within`. */
  readonly changes: number
  /** When it was found to flap. */
  readonly since: number
}

export interface HistoryView {
  /** The newest first. */
  readonly entries: readonly HistoryEntry[]
  /** The newest first. */
  readonly registries: readonly RegistryEntry[]
  /** How far back the history reaches: its oldest entry, else the start of the gateway. */
  readonly from: number
  readonly flapping: readonly FlappingView[]
}

/** What is asked of the history; what is absent does not narrow it. */
export interface HistoryQuery {
  readonly service?: string
  /** Key, id or `address:port`. */
  readonly instance?: string
  /** Only what is later; ms since the epoch. */
  readonly since?: number
  /** The newest so many. */
  readonly limit: number
}

export type AlertKind = 'minHealthy' | 'flapping' | 'versionSkew' | 'registryStale' | 'noTraffic'
export type AlertSeverity = 'critical' | 'warning' | 'info'

/** Something that is wrong by a rule, or was until a short while ago. */
export interface AlertView {
  /** The same for as long as rule and subject are. */
  readonly id: string
  readonly rule: string
  readonly kind: AlertKind
  readonly severity: AlertSeverity
  /** Empty: it is about a registry. */
  readonly service: string
  /** The instance's key. */
  readonly instance?: string
  /** `address:port` of the instance. */
  readonly address?: string
  readonly registry?: string
  /** In words. */
  readonly summary: string
  /** When its condition began to hold; `since` is later by the rule's `for`. */
  readonly activeAt: number
  /** When it began to fire. */
  readonly since: number
  readonly state: 'firing' | 'resolved'
  readonly resolvedAt?: number
  /** Those of the rule and of `monitor.alerts.labels`. */
  readonly labels: Readonly<Record<string, string>>
}
