// @ts-check
import { millis, plural } from '../lib/format.js'
import { cx, html } from '../lib/html.js'
import { href } from '../lib/router.js'
import { sourceText } from '../lib/routes.js'
import { Icon } from './icons.js'
import { Facts, Panel } from './panel.js'
import { Dot, Pill } from './pill.js'
import { Note } from './states.js'

/** @typedef {import('../lib/shapes.js').Explanation} Explanation */
/** @typedef {import('../lib/shapes.js').InstanceVerdict} InstanceVerdict */
/** @typedef {import('../lib/health.js').Tone} Tone */
/** @typedef {{ label: string, value: any, note?: string, tone: Tone }} Stage */

/** @typedef {NonNullable<Explanation['filters']>[number]} FilterVerdict */

/** @param {Explanation} answer @returns {Stage[]} The way of the request, as far as it came. */
function stagesOf({
  request,
  host,
  path,
  result,
  code,
  detail,
  route,
  source,
  filters,
  service,
  canary,
  instances,
  action,
}) {
  /** @type {Stage[]} */
  const stages = [
    {
      label: 'Request',
      value: `${request.method} ${host ?? request.authority ?? ''}`,
      note: path ?? request.target,
      tone: 'idle',
    },
  ]
  if (result === 'refuse') {
    stages.push({ label: 'Refused', value: code, ...(detail ? { note: detail } : {}), tone: 'bad' })
    return stages
  }
  stages.push({
    label: 'Route',
    value: html`<a href=${href('routes', [route ?? ''])}>${route}</a>`,
    ...(source ? { note: sourceText(source) } : {}),
    tone: 'good',
  })
  if (filters && filters.length > 0) {
    const stopped = filters.find(({ verdict }) => verdict === 'refused' || verdict === 'failed closed')
    stages.push({
      label: 'Filters',
      value:
        stopped === undefined ? plural(filters.length, 'filter') : `${stopped.verdict} by ${stopped.name}`,
      note: stopped?.reason ?? filters.map(({ name }) => name).join(' → '),
      tone: stopped === undefined ? 'good' : 'bad',
    })
    if (stopped !== undefined) return stages
  }
  if (service === undefined) {
    stages.push({ label: 'Answer', value: action, note: 'by the gateway itself', tone: 'good' })
    return stages
  }
  stages.push({
    label: 'Service',
    value: html`<a href=${href('services', [service])}>${service}</a>`,
    ...(instances === undefined ? { note: 'nobody knows it' } : {}),
    tone: instances === undefined ? 'bad' : 'good',
  })
  if (canary !== undefined) {
    stages.push({
      label: 'Version',
      value: canary.side ?? 'any',
      note: canary.rule ?? 'no rule decides',
      tone: canary.side === undefined || canary.side === 'stable' ? 'good' : 'warn',
    })
  }
  const eligible = instances?.filter((one) => one.eligible).length ?? 0
  stages.push({
    label: 'Instances',
    value: `${eligible} of ${instances?.length ?? 0}`,
    note: eligible === 0 ? 'none may get it' : 'may get it',
    tone: eligible === 0 ? 'bad' : eligible < (instances?.length ?? 0) ? 'warn' : 'good',
  })
  return stages
}

/** @param {{ answer: Explanation }} props */
const Way = ({ answer }) => html`
  <ol class="way" aria-label="The way of the request">
    ${stagesOf(answer).map(
      ({ label, value, note, tone }) => html`<li class="tone-${tone}" key=${label}>
        <p class="way-label">${label}</p>
        <p class="way-value">${value}</p>
        ${note && html`<p class="way-note" title=${note}>${note}</p>`}
      </li>`,
    )}
  </ol>
`

const RESULT = /** @type {const} */ ({
  won: ['won', 'good'],
  lost: ['lost', 'idle'],
  outranked: ['outranked', 'warn'],
})

/** @param {{ answer: Explanation }} props */
function Candidates({ answer: { candidates, steps, params } }) {
  const sorted = [...candidates].sort((a, b) => Number(b.result === 'won') - Number(a.result === 'won'))
  const known = Object.entries(params ?? {})
  return html`
    <${Panel} title="Which route, and why" aside=${plural(candidates.length, 'candidate')}>
      ${steps.length > 0 && html`<ol class="steps">${steps.map((step) => html`<li class="mono" key=${step}>${step}</li>`)}</ol>`}
      ${
        candidates.length === 0
          ? html`<p class="muted">${steps.length === 0 ? 'It was refused before any route was looked at.' : 'No route looks at this host and path.'}</p>`
          : html`<ul class="candidates">${sorted.map(
              ({
                route,
                result,
                reason,
              }) => html`<li class=${cx(result === 'won' && 'is-winner')} key=${`${route}/${reason}`}>
                <${Icon} name=${result === 'won' ? 'check' : 'close'} />
                <a href=${href('routes', [route])}>${route}</a>
                <${Pill} tone=${RESULT[result][1]}>${RESULT[result][0]}<//>
                <p>${reason}</p>
              </li>`,
            )}</ul>`
      }
      ${known.length > 0 && html`<h3 class="sub">Parameters of the path</h3><${Facts} items=${known} />`}
    <//>
  `
}

/** @type {Readonly<Record<string, Tone>>} */
const VERDICT_TONE = {
  passed: 'good',
  replaced: 'warn',
  refused: 'bad',
  'would refuse': 'warn',
  'failed open': 'warn',
  'failed closed': 'bad',
}

/** One filter, and what it made of a request that was real. @param {{ filter: FilterVerdict }} props */
const Filter = ({ filter: { name, type, isDryRun, verdict, ms, status, code, reason, outbound } }) => html`
  <li>
    <b>${name}</b>${name !== type && html`<span class="muted">${type}</span>`}
    ${isDryRun && html`<span class="muted">dry run</span>`}
    ${verdict && html`<${Pill} tone=${VERDICT_TONE[verdict] ?? 'idle'}>${verdict}${status !== undefined && ` ${status}`}<//>`}
    ${ms !== undefined && html`<span class="muted">${millis(ms)}</span>`}
    ${outbound && outbound.verdict !== 'passed' && html`<${Pill} tone=${VERDICT_TONE[outbound.verdict] ?? 'idle'}>answer ${outbound.verdict}<//>`}
    ${(code || reason) && html`<p class="muted">${code && html`<span class="mono">${code}</span> `}${reason}</p>`}
  </li>
`

/** @param {{ answer: Explanation }} props */
const Filters = ({ answer: { filters = [] } }) => html`
  <${Panel} title="Filters" aside="in this order">
    ${
      filters.length === 0
        ? html`<p class="muted">None: nothing is asked of it, nothing is changed.</p>`
        : html`<ol class="chain">${filters.map((filter) => html`<${Filter} key=${filter.name} filter=${filter} />`)}</ol>`
    }
  <//>
`

/** @param {{ canary: NonNullable<Explanation['canary']> }} props */
function Version({ canary: { rule, side, steps, headers, bucket } }) {
  const told = Object.entries(headers)
  return html`
    <${Panel} title="Which version, and why">
      <${Facts} items=${[
        ['Rule', rule === undefined ? 'none decides' : html`<a href=${href('releases', [rule])}>${rule}</a>`],
        ['Side', side ?? 'any'],
        bucket !== undefined && ['Bucket', `${bucket} of 10,000`],
        told.length > 0 && [
          'Told upstream',
          html`<span class="mono">${told.map(([name, value]) => `${name}: ${value}`).join(', ')}</span>`,
        ],
      ]} />
      <ol class="steps">${steps.map((step) => html`<li key=${step}>${step}</li>`)}</ol>
    <//>
  `
}

/** @param {InstanceVerdict} a @param {InstanceVerdict} b */
const eligibleFirst = (a, b) =>
  Number(b.eligible) - Number(a.eligible) || a.address.localeCompare(b.address, 'en', { numeric: true })
const SHOWN = 50

/** @param {{ service: string, instances: readonly InstanceVerdict[], chosen?: string }} props */
function Instances({ service, instances, chosen }) {
  const sorted = [...instances].sort(eligibleFirst)
  return html`
    <${Panel} title="Instances" aside="${instances.filter(({ eligible }) => eligible).length} of ${instances.length} may get it">
      ${
        sorted.length === 0
          ? html`<${Note} title="No instances">The gateway would answer 503.<//>`
          : html`<ul class="verdicts">${sorted.slice(0, SHOWN).map(
              ({
                key,
                address,
                version,
                eligible,
                reason,
              }) => html`<li class=${cx(!eligible && 'is-out')} key=${key}>
                <${Dot} tone=${eligible ? 'good' : 'idle'} label=${eligible ? 'may get it' : 'may not'} />
                <a class="mono" href=${href('services', [service], { instance: key })}>${address}</a>
                ${version && html`<span class="muted">${version}</span>`}
                ${key === chosen && html`<${Pill} tone="info">got it<//>`}
                <p>${reason}</p>
              </li>`,
            )}</ul>
            ${sorted.length > SHOWN && html`<p class="muted">and ${sorted.length - SHOWN} more</p>`}`
      }
    <//>
  `
}

/** @param {{ answer: Explanation }} props */
function Target({ answer: { service, serviceSource, upstreamTarget, timeouts, retries } }) {
  if (service === undefined || timeouts === undefined) return null
  const limits = Object.entries(timeouts).filter(([, ms]) => ms > 0)
  return html`
    <${Panel} title="What goes upstream">
      <${Facts} items=${[
        ['Target', html`<span class="mono">${upstreamTarget}</span>`],
        ['Service known by', serviceSource ?? '–'],
        [
          'Timeouts',
          limits.map(([name, ms]) => `${name.replace(/Ms$/, '')} ${millis(ms)}`).join(', ') || 'none',
        ],
        [
          'Retries',
          retries === undefined || retries.attempts === 0
            ? 'none'
            : `${retries.attempts}, after ${[...retries.on, ...retries.statuses].join(', ')}`,
        ],
      ]} />
    <//>
  `
}

/**
 * Everything about where one request goes.
 * @param {object} props
 * @param {Explanation} props.answer
 * @param {string} [props.chosen] Key of the instance that got it.
 * @param {import('../lib/html.js').Children} [props.children] What else is known of it.
 */
export function ExplainAnswer({ answer, chosen, children }) {
  const { canary, instances, service } = answer
  return html`
    <${Way} answer=${answer} />
    <div class="explain-panels">
      <div><${Candidates} answer=${answer} />${answer.result === 'route' && html`<${Filters} answer=${answer} />`}</div>
      ${
        (children || (answer.result === 'route' && service !== undefined)) &&
        html`<div>
          ${children}
          ${canary && html`<${Version} canary=${canary} />`}
          ${instances && service && html`<${Instances} service=${service} instances=${instances} chosen=${chosen} />`}
          <${Target} answer=${answer} />
        </div>`
      }
    </div>
  `
}

/** The same in a sentence, for readers and for the top. @param {Explanation} answer */
export function inShort({ result, code, detail, route, service, canary, instances, action }) {
  if (result === 'refuse') return `Refused with ${code}${detail ? `: ${detail}` : ''}.`
  if (service === undefined) return `Route ${route}: the gateway answers by itself (${action}).`
  const eligible = instances?.filter((one) => one.eligible).length ?? 0
  return `Route ${route}, service ${service}${canary?.side ? `, side ${canary.side}` : ''}: ${eligible} of ${instances?.length ?? 0} instances may get it.`
}
