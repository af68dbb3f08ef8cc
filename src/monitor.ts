import type { EventHub } from '../plugins/events.ts'
import type { MonitorConfig } from './config/monitor.ts'
import type { Clock } from './core/duration.ts'
import { errorText } from './core/errors.ts'
import type { AlertView, HistoryQuery, HistoryView } from './core/monitor-view.ts'
import type { ProviderStatus } from './core/types.ts'
import type { InstanceEvent, RegistryView, ServiceView } from './core/views.ts'
import { AlertBook, type RuleCount } from './health/alerts.ts'
import type { FlappingChange } from './health/flapping.ts'
import { HistoryFile, readHistory } from './health/history-file.ts'
import { Lives, type Noted } from './health/lives.ts'
import { AlertmanagerPush } from './notify/alertmanager.ts'
import { type NotifyResult, Webhooks } from './notify/webhooks.ts'
import { authorityOf } from './proxy/transport.ts'
import type { HealthEvent } from './proxy/upstream-stats.ts'
import type { Table } from './routing/table.ts'

/** Lines of the text of one webhook; a storm of alerts is cut there. */
const MAX_LINES = 20

export interface MonitorDeps {
  readonly config: MonitorConfig
  readonly events: Pick<EventHub, 'publish'>
  services(): readonly ServiceView[]
  registries(): readonly RegistryView[]
  onNotified(channel: 'webhook' | 'alertmanager', result: NotifyResult): void
  readonly clock: Clock
  readonly log: { info(fields: object, text: string): void; warn(fields: object, text: string): void }
}

/**
 * History of instances and registries, flapping, alerts. It is told of what happens and returns at once; disk and receivers of
 * alerts are served behind. Nothing on the way of a request waits for it.
 */
export class Monitor {
  readonly #deps: MonitorDeps
  readonly #startedAt: number
  readonly #lives: Lives
  readonly #file: HistoryFile | undefined
  readonly #book: AlertBook
  readonly #webhooks: Webhooks
  readonly #push: AlertmanagerPush
  #timer: NodeJS.Timeout | undefined

  constructor(deps: MonitorDeps) {
    this.#deps = deps
    const { config, clock, log, onNotified } = deps
    const { history, flapping, alerts } = config
    this.#startedAt = clock.now()
    this.#lives = new Lives(history, flapping)
    this.#book = new AlertBook(alerts.rules, alerts.labels)
    this.#webhooks = new Webhooks({ log, onResult: (result) => onNotified('webhook', result) })
    this.#push = new AlertmanagerPush(
      { urls: alerts.alertmanager, resendMs: alerts.resend },
      { clock, log, onResult: (result) => onNotified('alertmanager', result) },
    )
    if (history.file !== undefined) {
      const { file: path, maxBytes } = history
      this.#file = new HistoryFile({ path, maxBytes, onError: (text) => log.warn({}, text) })
    }
  }

  /** Before the first table: what earlier runs noted. Never rejects. */
  async restore(): Promise<void> {
    const { config, clock, log } = this.#deps
    const { file, maxEntries } = config.history
    if (file === undefined) return
    try {
      this.#lives.restore(await readHistory(file, maxEntries), clock.now())
    } catch (thrown) {
      log.warn({ err: errorText(thrown) }, 'started without the history')
    }
  }

  /** The first table. */
  begin(table: Table): void {
    const first = [...table.services.values()].flatMap(({ name, instances }) =>
      instances.map((instance) => ({ service: name, instance, address: authorityOf(instance) })),
    )
    const silent = new Set(
      this.#deps
        .registries()
        .filter(({ status }) => status.state !== 'live')
        .map(({ name }) => name),
    )
    const found = this.#lives.begin(first, (registry) => !silent.has(registry), this.#deps.clock.now())
    for (const entry of found) this.#file?.append(entry)
  }

  instance(event: InstanceEvent): void {
    this.#keep(this.#lives.instance(event, this.#deps.clock.now()))
  }

  health(event: HealthEvent): void {
    if (event.type === 'ejection') this.#keep(this.#lives.ejection(event, this.#deps.clock.now()))
  }

  registry(name: string, status: ProviderStatus): void {
    const entry = this.#lives.registry(name, status, this.#deps.clock.now())
    if (entry !== undefined) this.#file?.append(entry)
  }

  #keep(noted: Noted | undefined): void {
    if (noted === undefined) return
    this.#file?.append(noted.entry)
    if (noted.flapping !== undefined) this.#tellFlapping(noted.flapping)
  }

  #tellFlapping(change: FlappingChange): void {
    const { events, log } = this.#deps
    events.publish('flapping', { ...change })
    if (change.state === 'begin') log.warn(change, 'instance flaps')
    else log.info(change, 'instance no longer flaps')
  }

  /** Once there is a table: looks at flapping and rules from now on. */
  start(): void {
    this.#timer = setInterval(() => this.look(), this.#deps.config.alerts.interval)
    this.#timer.unref()
  }

  /** One look. It runs by itself; tests call it with a clock of their own. */
  look(): void {
    const { clock, services, registries } = this.#deps
    const now = clock.now()
    for (const change of this.#lives.flapping.review(now)) this.#tellFlapping(change)
    if (this.#deps.config.alerts.rules.length === 0) return
    const world = { services: services(), registries: registries(), flapping: this.#lives.flapping.view(now) }
    const changes = this.#book.evaluate(world, now)
    if (changes.length > 0) this.#tellAlerts(changes)
    this.#push.update(this.#book.view(), changes.length > 0)
  }

  #tellAlerts(changes: readonly AlertView[]): void {
    const { events, log, config } = this.#deps
    for (const alert of changes) {
      events.publish('alert', { ...alert })
      const { rule, severity, state, summary } = alert
      const fields = { rule, severity, state }
      if (state === 'firing') log.warn(fields, `alert: ${summary}`)
      else log.info(fields, `alert is over: ${summary}`)
    }
    const urls = config.alerts.notify.map(({ webhook }) => webhook).filter((url) => url !== '')
    if (urls.length > 0) this.#webhooks.tell(urls, { text: textOf(changes), alerts: changes })
  }

  history(query: HistoryQuery): HistoryView {
    const { history, flapping } = this.#lives
    const now = this.#deps.clock.now()
    return {
      entries: history.entries(query, now),
      registries:
        query.service === undefined && query.instance === undefined ? history.registries(query) : [],
      from: Math.min(history.oldest(now) ?? this.#startedAt, this.#startedAt),
      flapping: flapping.view(now).filter(({ service }) => service === (query.service ?? service)),
    }
  }

  alerts(): AlertView[] {
    return this.#book.view()
  }

  /** Firing alerts by rule, for metrics. */
  alertCounts(): RuleCount[] {
    return this.#book.counts()
  }

  /** Keys of instances that flap; live. */
  get flapping(): ReadonlySet<string> {
    return this.#lives.flapping.keys
  }

  /** Entries that did not get to the disk. */
  get unwritten(): number {
    return this.#file?.dropped ?? 0
  }

  /** Writes the history; what is told to others is tried no further. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all([this.#file?.close(), this.#webhooks.close(), this.#push.close()])
  }
}

/** For people: one line an alert. */
function textOf(changes: readonly AlertView[]): string {
  const lines = changes
    .slice(0, MAX_LINES)
    .map(({ state, severity, rule, summary }) => `${state} (${severity}) ${rule}: ${summary}`)
  if (changes.length > MAX_LINES) lines.push(`… and ${changes.length - MAX_LINES} more`)
  return lines.join('\n')
}
