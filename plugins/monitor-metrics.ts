import { Counter, Gauge, type Registry } from 'prom-client'
import type { RuleCount } from '../src/health/alerts.ts'
import type { NotifyResult } from '../src/notify/webhooks.ts'

/** What the gauges read when somebody scrapes. */
export interface MonitorState {
  alertCounts(): readonly RuleCount[]
  /** Entries of the history that did not get to the disk. */
  readonly unwritten: number
}

/** Metrics of alerts and history. Labels come from the configuration and from fixed lists. */
export class MonitorMetrics {
  readonly #notifications: Counter

  constructor(registry: Registry, state: MonitorState) {
    const registers = [registry]
    this.#notifications = new Counter({
      name: 'sluice_notifications_total',
      help: 'POSTs to webhooks and Alertmanagers by what became of them.',
      labelNames: ['channel', 'result'],
      registers,
    })
    new Gauge({
      name: 'sluice_alerts',
      help: 'Alerts that fire.',
      labelNames: ['rule', 'severity'],
      registers,
      collect() {
        this.reset()
        for (const { rule, severity, firing } of state.alertCounts()) this.labels(rule, severity).set(firing)
      },
    })
    new Counter({
      name: 'sluice_history_unwritten_total',
      help: 'Changes of instances that could not be written to the history file.',
      registers,
      collect() {
        this.reset()
        this.inc(state.unwritten)
      },
    })
  }

  /** `canary`: webhooks of releases. */
  notified(channel: 'webhook' | 'alertmanager' | 'canary', result: NotifyResult): void {
    this.#notifications.labels(channel, result).inc()
  }
}
