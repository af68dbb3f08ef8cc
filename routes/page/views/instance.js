// @ts-check
import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import { send } from '../lib/api.js'
import { useNow } from '../lib/clock.js'
import { useFleet, useSession } from '../lib/data.js'
import { ago, count, fullTime, millis, percent, rate, span } from '../lib/format.js'
import { instanceTone, stateTone, USE_TEXT } from '../lib/health.js'
import { html } from '../lib/html.js'
import { refresh, useResource } from '../lib/resource.js'
import { go, href } from '../lib/router.js'
import { Confirm } from '../parts/dialog.js'
import { HistoryList } from '../parts/history.js'
import { Icon } from '../parts/icons.js'
import { Facts } from '../parts/panel.js'
import { Dot, Pill } from '../parts/pill.js'
import { Answer, Note } from '../parts/states.js'
import { tell } from '../parts/toast.js'

/** @typedef {import('../lib/health.js').InstanceView} InstanceView */

/** @param {InstanceView} instance Somebody took it out on purpose. */
const isDrained = ({ state, reason = '' }) =>
  state === 'draining' || state === 'maintenance' || reason.startsWith('drained')

/** @param {{ instance: InstanceView, isUndo: boolean, onClose: () => void }} props */
function DrainDialog({ instance, isUndo, onClose }) {
  const [reason, setReason] = useState('')
  const drain = async () => {
    const view = await send(`/api/instances/${encodeURIComponent(instance.key)}/drain`, {
      undo: isUndo,
      reason,
    })
    const scope = view.scope === 'registry' ? 'every gateway hears of it' : 'only this gateway knows'
    tell('good', `${instance.address} is ${isUndo ? 'put back' : 'drained'}; ${scope}.`)
    refresh('/api/topology')
  }
  return html`
    <${Confirm} title=${isUndo ? `Put ${instance.address} back in rotation?` : `Drain ${instance.address}?`}
      action=${isUndo ? 'Put back' : 'Drain'} isDanger=${!isUndo} onConfirm=${drain} onClose=${onClose}>
      <p>${isUndo ? 'It gets requests again as soon as its checks allow.' : 'Nothing new goes there from now on. What is under way finishes.'}</p>
      ${!isUndo && html`<label class="field">Reason, for those who see it <input maxlength="200" value=${reason} onInput=${(/** @type {any} */ event) => setReason(event.currentTarget.value)} /></label>`}
    <//>
  `
}

/** @param {{ check: import('../../../src/core/types.ts').Check & { since?: number } }} props */
function CheckItem({ check: { id, state, output, expired, since } }) {
  const now = useNow()
  return html`
    <li>
      <p><${Dot} tone=${stateTone(state)} /><b>${id}</b> <span class="text-tone tone-${stateTone(state)}">${state}</span>
      ${expired && html`<${Pill} tone="bad">its time ran out<//>`}
      ${since !== undefined && html`<span class="muted" title=${fullTime(since)}>${ago(since, now)}</span>`}</p>
      ${output && html`<pre class="output" tabindex="0" aria-label="Output of ${id}">${output}</pre>`}
    </li>
  `
}

/** What other gateways make of it. @param {{ id: string }} props */
function Fleet({ id }) {
  const { data } = useFleet()
  const seen = data?.instances[id] ?? []
  if (seen.length < 2) return null
  const nameOf = (/** @type {string} */ gateway) =>
    data?.gateways.find((one) => one.id === gateway)?.name ?? gateway
  return html`
    <h3>Seen by ${seen.length} gateways</h3>
    <ul class="fleet">${seen.map(
      (one) =>
        html`<li key=${one.gateway}><b>${nameOf(one.gateway)}</b><span>${one.use}</span><span>${rate(one.rps)}/s</span><span>${percent(one.errorRatio)}</span><span>${millis(one.p99)}</span>${one.reason && html`<span class="muted">${one.reason}</span>`}</li>`,
    )}</ul>
  `
}

/** @param {{ instance: InstanceView, traffic: import('../lib/contract.js').InstanceTraffic | undefined }} props */
function Body({ instance, traffic }) {
  const now = useNow()
  const { key, id, scheme, weight, version, zone, node, datacentre, tags, checks, since, sockets } = instance
  return html`
    <${Facts} items=${[
      ['Version', version ?? '–'],
      ['Weight', weight],
      ['Zone', zone ?? '–'],
      ['Node', node ?? '–'],
      datacentre !== undefined && ['Datacentre', datacentre],
      ['Protocol', scheme],
      ['In this state', since === undefined ? '–' : span(Math.max(0, now - since))],
      ['Last request', ago(instance.lastRequestAt, now)],
      ['In flight', count(instance.inFlight)],
      ['Requests', count(instance.requests)],
      ['Rate', traffic ? `${rate(traffic.rps)}/s` : '–'],
      ['Errors', percent(traffic?.errorRatio)],
      ['p50 / p99', traffic ? `${millis(traffic.p50)} / ${millis(traffic.p99)}` : '–'],
      ['Failed connects', count(instance.failures)],
      ['Connections', `${sockets.connected}, ${sockets.free} free, ${sockets.queued} queued`],
      ['Id', html`<span class="mono">${id}</span>`],
    ]} />
    ${tags.length > 0 && html`<p class="tags">${tags.map((tag) => html`<${Pill} key=${tag}>${tag}<//>`)}</p>`}
    <h3>Checks</h3>
    ${
      checks.length === 0
        ? html`<p class="muted">The registry tells of none.</p>`
        : html`<ul class="checks">${checks.map((check) => html`<${CheckItem} key=${check.id} check=${check} />`)}</ul>`
    }
    <${Fleet} id=${key} />
  `
}

/** @param {{ service: string, id: string }} props */
function History({ service, id }) {
  /** @type {import('../lib/resource.js').Known<import('../lib/contract.js').HistoryView>} */
  const known = useResource(
    `/api/history?service=${encodeURIComponent(service)}&instance=${encodeURIComponent(id)}&limit=50`,
    { everyMs: 15_000, on: ['instance', 'ejection'] },
  )
  return html`<h3>History</h3><${Answer} of=${known} name="History" rows=${2}>${(
    /** @type {import('../lib/contract.js').HistoryView} */ { entries },
  ) => html`<${HistoryList} entries=${entries} isOfOne />`}<//>`
}

/**
 * Everything about one instance, beside the list that it was chosen from.
 * @param {{ id: string, service: string, instance: InstanceView | undefined, traffic: import('../lib/contract.js').InstanceTraffic | undefined }} props `id`: its key.
 */
export function Instance({ id, service, instance, traffic }) {
  const { canWrite } = useSession()
  const [asked, setAsked] = useState(false)
  const title = useRef(/** @type {HTMLElement | null} */ (null))
  useLayoutEffect(() => title.current?.focus({ preventScroll: true }), [])
  const close = () => go(href('services', [service]))
  const isUndo = instance !== undefined && isDrained(instance)
  return html`
    <aside class="panel instance" aria-label="Instance" onKeyDown=${(/** @type {KeyboardEvent} */ { key }) => key === 'Escape' && !asked && close()}>
      <header class="instance-head">
        <h2 tabindex="-1" ref=${title}>${instance?.address ?? id}</h2>
        <button type="button" class="icon-button" aria-label="Close instance" onClick=${close}><${Icon} name="close" /></button>
      </header>
      ${
        instance === undefined
          ? html`<${Note} title="This instance has left">Its history is all there is.<//>`
          : html`
            <p class="instance-state">
              <${Pill} tone=${instanceTone(instance)}>${USE_TEXT[instance.use]}<//><${Pill} tone=${stateTone(instance.state)}>registry: ${instance.state}<//>
              ${instance.flapping && html`<${Pill} tone="warn">flapping<//>`}
              ${canWrite && html`<button type="button" class="button is-small" onClick=${() => setAsked(true)}>${isUndo ? 'Put back…' : 'Drain…'}</button>`}
            </p>
            ${instance.reason && html`<p class="text-tone tone-${instanceTone(instance)}">${instance.reason}</p>`}
            <${Body} instance=${instance} traffic=${traffic} />
            ${asked && html`<${DrainDialog} instance=${instance} isUndo=${isUndo} onClose=${() => setAsked(false)} />`}
          `
      }
      <${History} service=${service} id=${id} />
    </aside>
  `
}
