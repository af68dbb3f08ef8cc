// @ts-check
import { useCell } from '../lib/cell.js'
import { useNow } from '../lib/clock.js'
import { useAlerts } from '../lib/data.js'
import { ago, count, fullTime, plural, span } from '../lib/format.js'
import { severityTone } from '../lib/health.js'
import { cx, html } from '../lib/html.js'
import { useResource } from '../lib/resource.js'
import { goQuery, href, place } from '../lib/router.js'
import { Choice } from '../parts/field.js'
import { Panel } from '../parts/panel.js'
import { Dot, Pill } from '../parts/pill.js'
import { Answer, Note } from '../parts/states.js'

/** @typedef {import('../lib/contract.js').Alert & { address?: string, registry?: string, activeAt?: number, labels?: Readonly<Record<string, string>> }} Alert */
/** @typedef {import('../lib/contract.js').HistoryView} HistoryView */

/** @param {Alert} alert What it is about. */
function subject({ service, instance, address, registry }) {
  if (service === '') return html`registry <b>${registry}</b>`
  return html`<a href=${href('services', [service])}>${service}</a>${instance && html` <a class="mono" href=${href('services', [service], { instance })}>${address ?? instance}</a>`}`
}

/** @param {{ alert: Alert }} props */
function AlertItem({ alert }) {
  const now = useNow()
  const { state, severity, rule, kind, summary, since, resolvedAt, labels = {} } = alert
  const isFiring = state === 'firing'
  const tone = isFiring ? severityTone(severity) : 'good'
  return html`
    <li class=${cx('alert', `tone-${tone}`, !isFiring && 'is-over')}>
      <${Dot} tone=${tone} label=${isFiring ? severity : 'resolved'} />
      <div>
        <p class="alert-head">${subject(alert)} <${Pill} tone=${tone}>${isFiring ? severity : 'resolved'}<//> <span class="muted" title=${fullTime(since)}>${isFiring ? `for ${span(Math.max(0, now - since))}` : `${ago(resolvedAt, now)}, after ${span((resolvedAt ?? now) - since)}`}</span></p>
        <p class="alert-text">${summary}</p>
        <p class="muted">rule ${rule}${kind !== rule && ` (${kind})`}${Object.entries(labels).map(([key, value]) => html` <${Pill} key=${key}>${key}: ${value}<//>`)}</p>
      </div>
    </li>
  `
}

/** Instances that change too often. */
function Flapping() {
  /** @type {import('../lib/resource.js').Known<HistoryView>} */
  const { data } = useResource('/api/history?limit=1', { everyMs: 10_000, on: ['instance', 'ejection'] })
  const now = useNow(10_000)
  const flapping = data?.flapping ?? []
  if (flapping.length === 0) return null
  return html`<${Panel} title="Flapping" aside=${plural(flapping.length, 'instance')}>
    <ul class="list">${flapping.map(
      ({ service, key, changes, since }) =>
        html`<li key=${key}><${Dot} tone="warn" /><div><a href=${href('services', [service], { instance: key })}>${service}</a> <span class="mono">${key}</span><p class="muted">${plural(changes, 'change')}, since ${span(Math.max(0, now - since))} · <a href=${href('history', [], { service, instance: key })}>its history</a></p></div></li>`,
    )}</ul>
  <//>`
}

/** What is wrong by the rules, and what was. */
function Alerts() {
  const known = useAlerts()
  const { show = '' } = useCell(place).query
  return html`<${Answer} of=${known} name="Alerts" rows=${6}>${(
    /** @type {{ alerts: readonly Alert[] }} */ { alerts },
  ) => {
    const firing = alerts.filter(({ state }) => state === 'firing')
    const shown =
      show === 'resolved'
        ? alerts.filter(({ state }) => state !== 'firing')
        : show === 'all'
          ? alerts
          : firing
    return html`
      <div class="toolbar">
        <${Choice} label="Which ones" value=${show || 'firing'} onChange=${(/** @type {string} */ value) => goQuery({ show: value === 'firing' ? '' : value })}
          options=${[['firing', `Firing ${count(firing.length)}`], ['resolved', `Resolved ${count(alerts.length - firing.length)}`], ['all', 'All']]} />
        <a class="end" href=${href('history')}>History of all instances</a>
      </div>
      <div class="stack">
        <p class="hidden" role="status">${firing.length} firing</p>
        <section class="panel" aria-label="Alerts">
          ${
            shown.length === 0
              ? show === 'resolved'
                ? html`<${Note} icon="alert" title="Nothing was resolved lately" />`
                : html`<${Note} icon="check" title="Nothing fires">Rules below <code>monitor.alerts</code> watch how many are healthy, who flaps, which versions meet, and how fresh registries are.<//>`
              : html`<ul class="alerts">${shown.map((alert) => html`<${AlertItem} key=${alert.id} alert=${alert} />`)}</ul>`
          }
        </section>
        <${Flapping} />
      </div>
    `
  }}<//>`
}

function FiringBadge() {
  const { data } = useAlerts()
  const firing = data?.alerts.filter(({ state }) => state === 'firing') ?? []
  if (firing.length === 0) return null
  const isBad = firing.some(({ severity }) => severityTone(severity) === 'bad')
  return html`<${Pill} tone=${isBad ? 'bad' : 'warn'}>${firing.length}<span class="hidden"> firing</span><//>`
}

/** @type {import('./index.js').ViewEntry} */
export const alerts = {
  id: 'alerts',
  title: 'Alerts',
  group: 'Observe',
  icon: 'alert',
  View: Alerts,
  Badge: FiringBadge,
}
