// @ts-check
import { useNow } from '../lib/clock.js'
import { ago, count, fullTime, percent, plural, rate, span } from '../lib/format.js'
import { USE_TEXT } from '../lib/health.js'
import { cx, html } from '../lib/html.js'
import { useResource } from '../lib/resource.js'
import { href } from '../lib/router.js'
import { Facts, Panel } from '../parts/panel.js'
import { Dot, Pill } from '../parts/pill.js'
import { Answer, Note } from '../parts/states.js'

/** @typedef {import('../lib/shapes.js').FleetView} FleetView */
/** @typedef {import('../lib/shapes.js').FleetGateway} FleetGateway */
/** @typedef {FleetView['instances'][string][number]} Seen */

/** @param {FleetGateway} gateway @returns {import('../lib/health.js').Tone} */
const toneOf = ({ isStale, state }) => (isStale ? 'bad' : state === 'ready' ? 'good' : 'warn')

/** The table that most gateways have. @param {readonly FleetGateway[]} gateways */
function commonTable(gateways) {
  /** @type {Map<string, number>} */
  const counts = new Map()
  for (const { table, isStale } of gateways)
    if (table && !isStale) counts.set(table.id, (counts.get(table.id) ?? 0) + 1)
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0]
}

/** Where people can open it; only what a browser may be sent to. @param {string} admin */
const linkOf = (admin) => (/^https?:\/\//.test(admin) ? admin : undefined)

/** @param {{ gateway: FleetGateway, common: string | undefined }} props */
function GatewayCard({ gateway, common }) {
  const now = useNow()
  const { name, role, address, admin, version, startedAt, table, state, seenAt, isSelf, isStale, isCut } =
    gateway
  const isOther = !isStale && table !== undefined && common !== undefined && table.id !== common
  const link = linkOf(admin)
  return html`
    <li class=${cx('panel gateway', `tone-${toneOf(gateway)}`, isStale && 'is-stale')}>
      <p class="gateway-head"><${Dot} tone=${toneOf(gateway)} /><b>${name}</b>${isSelf && html`<${Pill} tone="info">this one<//>`}<${Pill} tone=${toneOf(gateway)}>${isStale ? 'silent' : state}<//>${role === 'monitor' && html`<${Pill}>monitor<//>`}</p>
      <${Facts} items=${[
        ['Clients reach it at', address === '' ? 'nowhere' : html`<span class="mono">${address}</span>`],
        [
          'Admin side',
          link && !isSelf
            ? html`<a class="mono" href=${link} rel="noreferrer">${admin}</a>`
            : html`<span class="mono">${admin || '–'}</span>`,
        ],
        ['Version', version],
        ['Up', html`<span title=${fullTime(startedAt)}>${span(Math.max(0, now - startedAt))}</span>`],
        [
          'Table',
          table === undefined
            ? '–'
            : html`${table.version} <span class=${cx('mono', isOther ? 'text-tone tone-warn' : 'muted')}>${table.id.slice(0, 8)}</span>`,
        ],
        ['Last heard of', isSelf ? 'now' : ago(seenAt, now)],
      ]} />
      ${isOther && html`<p class="text-tone tone-warn">Its table has another content than that of most gateways.</p>`}
      ${isStale && html`<p class="text-tone tone-bad">It has said nothing for three intervals, or took itself out.</p>`}
      ${isCut && html`<p class="muted">It had more to say than fits.</p>`}
    </li>
  `
}

/** @param {FleetView} fleet Instances that gateways do not agree on. */
function disagreements({ instances, gateways }) {
  const isHeard = new Set(gateways.filter(({ isStale }) => !isStale).map(({ id }) => id))
  return Object.entries(instances)
    .map(([key, seen]) => /** @type {const} */ ([key, seen.filter(({ gateway }) => isHeard.has(gateway))]))
    .filter(([, seen]) => new Set(seen.map(({ use }) => use)).size > 1)
}

/** @param {{ seen: readonly Seen[], nameOf: (id: string) => string }} props */
const SeenBy = ({ seen, nameOf }) => html`
  <ul class="seen">${seen.map(
    ({ gateway, use, reason, inFlight, rps, errorRatio }) => html`<li key=${gateway}>
      <${Dot} tone=${use === 'rotation' ? 'good' : use === 'ejected' ? 'bad' : 'warn'} /><b>${nameOf(gateway)}</b><span class="text-tone tone-${use === 'rotation' ? 'good' : 'bad'}">${USE_TEXT[use]}</span>
      <span class="muted">${count(inFlight)} in flight${rps !== undefined && `, ${rate(rps)}/s`}${errorRatio !== undefined && `, ${percent(errorRatio)} errors`}</span>
      ${reason && html`<p class="muted">${reason}</p>`}
    </li>`,
  )}</ul>
`

/** @param {{ fleet: FleetView }} props */
function Body({ fleet }) {
  const { exchange, problem, gateways } = fleet
  const common = commonTable(gateways)
  const quarrels = disagreements(fleet)
  const nameOf = (/** @type {string} */ id) => gateways.find((gateway) => gateway.id === id)?.name ?? id
  const sorted = [...gateways].sort(
    (a, b) =>
      Number(b.isSelf) - Number(a.isSelf) ||
      Number(b.isStale) - Number(a.isStale) ||
      a.name.localeCompare(b.name),
  )
  return html`
    <div class="stack">
      ${problem && html`<div class="panel"><${Note} icon="warning" title="It does not hear of the others">${problem}<//></div>`}
      <ul class="gateways">${sorted.map((gateway) => html`<${GatewayCard} key=${gateway.id} gateway=${gateway} common=${common} />`)}</ul>
      ${
        exchange === 'alone'
          ? html`<p class="muted">This gateway is alone: <code>fleet</code> in its configuration lets gateways say to each other what they see.</p>`
          : html`<p class="muted">It hears of the others by ${exchange}.</p>`
      }
      ${
        gateways.length > 1 &&
        html`<${Panel} title="Where gateways do not agree" aside=${quarrels.length > 0 && plural(quarrels.length, 'instance')}>
          ${
            quarrels.length === 0
              ? html`<p class="all-well"><${Dot} tone="good" /> Every gateway makes the same of every instance that it has something to say of.</p>`
              : html`<ul class="quarrels">${quarrels.map(([key, seen]) => html`<li key=${key}><p><a class="mono" href=${href('services', [], { q: key.split('/').at(-1) })}>${key}</a></p><${SeenBy} seen=${seen} nameOf=${nameOf} /></li>`)}</ul>`
          }
        <//>`
      }
    </div>
  `
}

/** All gateways that say what they see. */
function Fleet() {
  /** @type {import('../lib/resource.js').Known<FleetView>} */
  const known = useResource('/api/fleet', { everyMs: 2000, on: ['state', 'table'] })
  return html`<${Answer} of=${known} name="The fleet" rows=${6}>${(/** @type {FleetView} */ fleet) => html`<${Body} fleet=${fleet} />`}<//>`
}

/** @type {import('./index.js').ViewEntry} */
export const fleet = { id: 'fleet', title: 'Fleet', group: 'Gateway', icon: 'fleet', View: Fleet }
