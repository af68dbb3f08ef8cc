import type { Clock } from '../core/duration.ts'
import type { AlertView } from '../core/monitor-view.ts'
import { postJson, type Receiver, receiverOf } from './post.ts'
import type { NotifyResult } from './webhooks.ts'

const TIMEOUT_MS = 5000
/** Alerts of one POST. */
const BATCH = 200
/** After a failure it is tried again sooner than `resend`. ms. */
const RETRY_MS = 5000
/** A resolved alert is told again for so long, as Prometheus does: the first POST may have been lost. ms. */
const TELL_RESOLVED_MS = 900_000
/** Alertmanager takes an alert for resolved when it does not hear of it for so many times `resend`. */
const EXPIRY = 4

export interface AlertmanagerOptions {
  readonly urls: readonly string[]
  /** ms. */
  readonly resendMs: number
}

export interface AlertmanagerDeps {
  readonly clock: Clock
  readonly log: { warn(fields: object, text: string): void }
  /** For counters. */
  onResult?(result: NotifyResult): void
}

/** One alert as `POST /api/v2/alerts` wants it. */
export interface PostableAlert {
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** RFC 3339. */
  readonly startsAt: string
  readonly endsAt: string
}

/** The alert in Alertmanager's form. Its labels are what it is known by: they never change while it fires. */
export function toPostable(alert: AlertView, now: number, resendMs: number): PostableAlert {
  const { rule, kind, severity, service, address, instance, registry, labels, summary, since } = alert
  const endsAt = alert.resolvedAt ?? now + EXPIRY * resendMs
  return {
    labels: {
      ...labels,
      alertname: rule,
      kind,
      severity,
      ...(service === '' ? {} : { service }),
      ...(address === undefined ? {} : { instance: address }),
      ...(instance === undefined ? {} : { key: instance }),
      ...(registry === undefined ? {} : { registry }),
    },
    annotations: { summary },
    startsAt: new Date(since).toISOString(),
    endsAt: new Date(endsAt).toISOString(),
  }
}

/** One Alertmanager and when it has to hear of us again. */
interface Target {
  readonly receiver: Receiver
  isSending: boolean
  /** There is something that it has not heard. */
  isDue: boolean
  nextAt: number
  isFailing: boolean
}

/** Keeps Alertmanagers informed of what fires. Nobody waits for them; a failure is logged once and tried again. */
export class AlertmanagerPush {
  readonly #options: AlertmanagerOptions
  readonly #deps: AlertmanagerDeps
  readonly #targets: readonly Target[]
  readonly #sending = new Set<Promise<void>>()
  readonly #abort = new AbortController()
  #alerts: readonly AlertView[] = []

  constructor(options: AlertmanagerOptions, deps: AlertmanagerDeps) {
    this.#options = options
    this.#deps = deps
    this.#targets = options.urls.map((url) => ({
      receiver: receiverOf(`${url.replace(/\/+$/, '')}/api/v2/alerts`),
      isSending: false,
      isDue: false,
      nextAt: Number.POSITIVE_INFINITY,
      isFailing: false,
    }))
  }

  /** Everything that fires or was resolved of late. Called at each look; `hasNews`: something began or ended. Returns at once. */
  update(alerts: readonly AlertView[], hasNews: boolean): void {
    if (this.#targets.length === 0 || this.#abort.signal.aborted) return
    const { clock } = this.#deps
    const since = clock.now() - TELL_RESOLVED_MS
    this.#alerts = alerts.filter(({ resolvedAt = Number.POSITIVE_INFINITY }) => resolvedAt > since)
    for (const target of this.#targets) {
      if (hasNews) target.isDue = true
      if (target.isSending || this.#alerts.length === 0) continue
      if (!(target.isDue && !target.isFailing) && clock.monotonic() < target.nextAt) continue
      const sending = this.#send(target).finally(() => this.#sending.delete(sending))
      this.#sending.add(sending)
    }
  }

  async #send(target: Target): Promise<void> {
    const { clock, log, onResult } = this.#deps
    const { resendMs } = this.#options
    target.isSending = true
    target.isDue = false
    const now = clock.now()
    const all = this.#alerts.map((alert) => toPostable(alert, now, resendMs))
    let reason: string | undefined
    for (let i = 0; i < all.length && reason === undefined; i += BATCH) {
      const body = JSON.stringify(all.slice(i, i + BATCH))
      reason = await postJson(target.receiver, body, TIMEOUT_MS, this.#abort.signal)
      if (this.#abort.signal.aborted) return
      onResult?.(reason === undefined ? 'ok' : 'failed')
    }
    if (reason !== undefined && !target.isFailing) {
      log.warn({ alertmanager: target.receiver.host, err: reason }, 'an Alertmanager does not take alerts')
    }
    target.isFailing = reason !== undefined
    target.nextAt = clock.monotonic() + (target.isFailing ? Math.min(RETRY_MS, resendMs) : resendMs)
    target.isSending = false
  }

  /** Breaks off. Nothing is resolved: another gateway may see the same, and this one may come back. */
  async close(): Promise<void> {
    this.#abort.abort()
    await Promise.all(this.#sending)
  }
}
