// @ts-check
import { count, fullTime, millis } from '../lib/format.js'
import { html } from '../lib/html.js'
import { useResource } from '../lib/resource.js'
import { href } from '../lib/router.js'
import { byFigure, byText } from '../lib/rows.js'
import { ExplainAnswer } from '../parts/explain-answer.js'
import { Icon } from '../parts/icons.js'
import { Facts, Panel } from '../parts/panel.js'
import { Pill } from '../parts/pill.js'
import { Answer, Loading, Note } from '../parts/states.js'
import { Table } from '../parts/table.js'
import { When } from '../parts/when.js'

/** @typedef {import('../lib/shapes.js').LiveExplanation} LiveExplanation */
/** @typedef {import('../lib/shapes.js').RefusalsView} RefusalsView */
/** @typedef {{ requests: readonly LiveExplanation[], isEnabled?: boolean }} Requests */

/** @param {number} status @returns {import('../lib/health.js').Tone} */
const statusTone = (status) => (status >= 500 ? 'bad' : status >= 400 ? 'warn' : 'good')

/** @type {readonly import('../parts/table.js').Column<LiveExplanation>[]} */
const COLUMNS = [
  {
    id: 'request',
    title: 'Request',
    width: 'minmax(160px, 3fr)',
    cell: ({ id, requestId, request, host, path }) => html`<div class="two-lines">
      <a class="row-link mono" href=${href('requests', [id])}><span class="cut">${request.method} ${host ?? request.authority ?? ''}${path ?? request.target}</span></a>
      <span class="cut muted mono">${requestId}</span></div>`,
  },
  {
    id: 'route',
    title: 'Route',
    width: 'minmax(80px, 1fr)',
    from: 560,
    cell: ({ route }) => route ?? html`<span class="muted">none</span>`,
    compare: byText(({ route }) => route ?? ''),
  },
  {
    id: 'side',
    title: 'Version',
    width: 'minmax(70px, 1fr)',
    from: 780,
    cell: ({ canary, attempts }) =>
      html`${canary?.side ?? '–'} <span class="muted">${attempts.at(-1)?.version}</span>`,
  },
  {
    id: 'status',
    title: 'Status',
    width: '58px',
    cell: ({ status }) => html`<${Pill} tone=${statusTone(status)}>${status}<//>`,
    compare: byFigure(({ status }) => status),
  },
  {
    id: 'ms',
    title: 'Took',
    width: '70px',
    isFigure: true,
    from: 460,
    cell: ({ ms }) => millis(ms),
    compare: byFigure(({ ms }) => ms),
  },
  {
    id: 'at',
    title: 'When',
    width: '84px',
    isFigure: true,
    from: 400,
    cell: ({ at }) => html`<${When} at=${at} />`,
    compare: byFigure(({ at }) => at),
  },
]

/** How to come to have some. @param {{ isEnabled: boolean }} props */
const HowTo = ({ isEnabled }) => html`
  <div class="panel how-to">
    <${Note} icon="record" title=${isEnabled ? 'No request was explained yet' : 'Explaining real requests is not switched on'}>
      A request that carries a signed debug token is explained while it is served: each candidate, each filter with its verdict and time, the version, each try.
    <//>
    <ol class="recipe">
      ${!isEnabled && html`<li>Give the gateway a secret, 32 characters at least, and start it again: <pre tabindex="0" aria-label="Configuration">${`admin:\n  debugKey: \${ENV:SLUICE_ADMIN_DEBUG_KEY}`}</pre></li>`}
      <li>Send a request with a token of it, which is good for a short while. The answer tells the same, to you alone: <pre tabindex="0" aria-label="Command">curl -i -H "$(npx sluice debug-token --ttl 5m)" http://shop.example.com/cart</pre></li>
    </ol>
    <p class="muted">Or <a href=${href('explain')}>describe a request</a>: that needs no token, and nothing is sent.</p>
  </div>
`

/** @param {{ attempts: LiveExplanation['attempts'], service: string | undefined }} props */
const Attempts = ({ attempts, service }) => html`
  <${Panel} title="What became of it" aside=${attempts.length === 0 ? '' : `${count(attempts.length)} ${attempts.length === 1 ? 'try' : 'tries'}`}>
    ${
      attempts.length === 0
        ? html`<p class="muted">No instance was asked: the gateway answered by itself.</p>`
        : html`<ol class="chain">${attempts.map(
            ({ instance, address, version, status, outcome, ms }, index) => html`<li key=${index}>
              ${service === undefined ? html`<b class="mono">${address || instance}</b>` : html`<a class="mono" href=${href('services', [service], { instance })}>${address || instance}</a>`}
              ${version && html`<span class="muted">${version}</span>`}
              <${Pill} tone=${outcome === 'ok' ? statusTone(status ?? 200) : outcome === 'answering' ? 'idle' : 'bad'}>${outcome === 'ok' ? status : `${outcome}${status === undefined ? '' : ` ${status}`}`}<//>
              <span class="muted">${millis(ms)}</span>
            </li>`,
          )}</ol>`
    }
  <//>
`

/** The same request among those that were refused. @param {{ id: string }} props */
function Refused({ id }) {
  /** @type {import('../lib/resource.js').Known<RefusalsView>} */
  const { data } = useResource('/api/refusals?limit=500', { everyMs: 5000 })
  const own = data?.refusals.filter(({ requestId }) => requestId === id) ?? []
  if (own.length === 0) return null
  return html`<${Panel} title="Refused" aside=${html`<a href=${href('refusals', [], { q: id })}>Among the others</a>`}>
    <ul class="plain">${own.map(({ filter, code, status, reason, at, route }) => html`<li key=${`${filter}/${at}`}><b>${filter}</b> <span class="mono muted">${code}</span> <${Pill} tone="warn">${status}<//> <${When} at=${at} /><p>${reason}${route && html` <span class="muted">on <a href=${href('routes', [route])}>${route}</a></span>`}</p></li>`)}</ul>
  <//>`
}

/** @param {{ id: string }} props */
function Detail({ id }) {
  /** @type {import('../lib/resource.js').Known<LiveExplanation>} */
  const { state, data } = useResource(`/api/requests/${encodeURIComponent(id)}`, { everyMs: 60_000 })
  if (data === undefined) {
    if (state === 'loading') return html`<${Loading} rows=${6} />`
    return html`<div class="stack">
      <${Refused} id=${id} />
      <div class="panel"><${Note} icon="record" title="Not explained">The last 100 requests with a debug token are; this one is not among them. <a href=${href('requests')}>Those that are</a><//></div>
    </div>`
  }
  const { requestId, at, client, principal, status, outcome, ms, attempts, service, isCut } = data
  return html`
    <div class="explain">
      <section class="panel request-head" aria-label="In short">
        <p class="mono request-line">${data.request.method} ${data.host ?? data.request.authority}${data.request.target}</p>
        <${Facts} items=${[
          [
            'Answer',
            html`<${Pill} tone=${statusTone(status)}>${status}<//> <span class="muted">${outcome}</span>`,
          ],
          ['Took', millis(ms)],
          ['When', html`<span title=${fullTime(at)}><${When} at=${at} /></span>`],
          ['Client', html`<span class="mono">${client}</span>`],
          principal !== undefined && ['Who', `${principal.id} (${principal.kind})`],
          ['Table', data.table.version],
          ['Request id', html`<span class="mono">${requestId}</span>`],
        ]} />
        ${isCut && html`<p class="muted">There were more candidates or instances than are listed.</p>`}
      </section>
      <${Refused} id=${requestId} />
      <${ExplainAnswer} answer=${data} chosen=${attempts.at(-1)?.instance}><${Attempts} attempts=${attempts} service=${service} /><//>
    </div>
  `
}

/** @param {{ requests: readonly LiveExplanation[] }} props */
const List = ({ requests }) => html`
  <${Panel} title="Explained requests" aside=${html`<a class="links" href=${href('explain')}><${Icon} name="explain" /> Describe one</a>`} isFlush>
    <${Table} label="Explained requests" columns=${COLUMNS} rows=${requests} rowHeight=${54} rowKey=${(/** @type {LiveExplanation} */ { id }) => id} />
  <//>
`

/** Real requests, explained. @param {{ rest: readonly string[] }} props */
function RequestsView({ rest: [id] }) {
  /** @type {import('../lib/resource.js').Known<Requests>} */
  const known = useResource('/api/requests', { everyMs: 2000 })
  if (id !== undefined) return html`<${Detail} key=${id} id=${id} />`
  if (known.state === 'missing') return html`<${HowTo} isEnabled=${false} />`
  return html`<${Answer} of=${known} name="Requests" rows=${8}>${(
    /** @type {Requests} */ { requests, isEnabled = true },
  ) =>
    requests.length === 0
      ? html`<${HowTo} isEnabled=${isEnabled} />`
      : html`<${List} requests=${requests} />`}<//>`
}

/** @type {import('./index.js').ViewEntry} */
export const requests = {
  id: 'requests',
  title: 'Live requests',
  group: 'Traffic',
  icon: 'record',
  View: RequestsView,
}
