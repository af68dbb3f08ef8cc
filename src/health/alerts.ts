import type { AlertSeverity, AlertView } from '../core/monitor-view.ts'
import { type AlertRule, type AlertWorld, evaluatorOf, type Finding } from './alert-rules.ts'

/** How long a resolved alert is shown, and told to those who may have missed it. ms. */
const KEEP_RESOLVED_MS = 3_600_000
const MAX_RESOLVED = 200
const RANK: Readonly<Record<AlertSeverity, number>> = { critical: 0, warning: 1, info: 2 }

interface Active {
  finding: Finding
  activeAt: number
  /** Undefined = pending: it does not hold for long enough. */
  firedAt: number | undefined
}

/** Firing alerts of one rule. */
export interface RuleCount {
  readonly rule: string
  readonly severity: AlertSeverity
  readonly firing: number
}

/**
 * Which alerts fire, as Prometheus has it: a condition that holds is pending, and fires when it has held at every look for
 * as long as the rule's `for`; it is resolved at the first look at which it does not hold. What cannot be told (a registry
 * that is away) changes nothing: it neither raises an alert nor ends one. Pure.
 */
export class AlertBook {
  readonly #rules: readonly {
    readonly rule: AlertRule
    readonly evaluate: ReturnType<typeof evaluatorOf>
    readonly active: Map<string, Active>
  }[]
  readonly #labels: Readonly<Record<string, string>>
  readonly #resolved = new Map<string, AlertView>()

  /** `labels`: of every alert. */
  constructor(rules: readonly AlertRule[], labels: Readonly<Record<string, string>> = {}) {
    this.#rules = rules.map((rule) => ({ rule, evaluate: evaluatorOf(rule), active: new Map() }))
    this.#labels = labels
  }

  /** Looks at the world; gives what began to fire and what was resolved. `now`: ms since the epoch. */
  evaluate(world: AlertWorld, now: number): AlertView[] {
    const changes: AlertView[] = []
    for (const { rule, evaluate, active } of this.#rules) {
      const findings = new Map(evaluate(world, now).map((finding) => [finding.subject, finding]))
      for (const [subject, one] of active) {
        const finding = findings.get(subject)
        if (finding !== undefined && isSameStretch(one, finding)) continue
        active.delete(subject)
        if (one.firedAt !== undefined) changes.push(this.#resolve(rule, one, now))
      }
      for (const [subject, finding] of findings) {
        if (finding.isUnknown !== true) changes.push(...this.#hold(rule, active, subject, finding, now))
      }
    }
    this.#forget(now)
    return changes
  }

  #hold(
    rule: AlertRule,
    active: Map<string, Active>,
    subject: string,
    finding: Finding,
    now: number,
  ): AlertView[] {
    let one = active.get(subject)
    if (one === undefined) {
      one = { finding, activeAt: Math.min(finding.activeAt ?? now, now), firedAt: undefined }
      active.set(subject, one)
    }
    one.finding = finding
    if (one.firedAt !== undefined || now - one.activeAt < rule.for) return []
    one.firedAt = now
    const view = this.#view(rule, one)
    this.#resolved.delete(view.id)
    return [view]
  }

  #resolve(rule: AlertRule, one: Active, now: number): AlertView {
    const view: AlertView = { ...this.#view(rule, one), state: 'resolved', resolvedAt: now }
    // Deleted first, so that the newest are last.
    this.#resolved.delete(view.id)
    this.#resolved.set(view.id, view)
    return view
  }

  #forget(now: number): void {
    for (const [id, { resolvedAt = 0 }] of this.#resolved) {
      if (resolvedAt > now - KEEP_RESOLVED_MS && this.#resolved.size <= MAX_RESOLVED) break
      this.#resolved.delete(id)
    }
  }

  #view(rule: AlertRule, { finding, activeAt, firedAt }: Active): AlertView {
    const { service, instance, address, registry, summary, subject } = finding
    return {
      id: `${rule.name}/${subject}`,
      rule: rule.name,
      kind: rule.kind,
      severity: rule.severity,
      service,
      ...(instance === undefined ? {} : { instance }),
      ...(address === undefined ? {} : { address }),
      ...(registry === undefined ? {} : { registry }),
      summary,
      activeAt,
      since: firedAt ?? activeAt,
      state: 'firing',
      labels: { ...this.#labels, ...rule.labels },
    }
  }

  /** What fires, the worst and newest first, then what was resolved within the last hour. */
  view(): AlertView[] {
    const firing = this.#rules.flatMap(({ rule, active }) =>
      [...active.values()].filter(({ firedAt }) => firedAt !== undefined).map((one) => this.#view(rule, one)),
    )
    firing.sort((a, b) => RANK[a.severity] - RANK[b.severity] || b.since - a.since)
    return [...firing, ...[...this.#resolved.values()].reverse()]
  }

  /** Of each rule, also when nothing fires. */
  counts(): RuleCount[] {
    return this.#rules.map(({ rule, active }) => ({
      rule: rule.name,
      severity: rule.severity,
      firing: [...active.values()].filter(({ firedAt }) => firedAt !== undefined).length,
    }))
  }
}

/** Clocks are read with fractions: less than this is no new time. ms. */
const SAME_MS = 1000

/** False: in between the condition did not hold, although no look fell into that time. */
const isSameStretch = ({ activeAt }: Active, finding: Finding): boolean =>
  finding.activeAt === undefined || finding.activeAt <= activeAt + SAME_MS
