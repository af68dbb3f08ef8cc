// @ts-check
import { useTraffic } from '../lib/data.js'
import { exampleOf, queryOf } from '../lib/explain.js'
import { count, percent, rate } from '../lib/format.js'
import { html } from '../lib/html.js'
import { useResource } from '../lib/resource.js'
import { href } from '../lib/router.js'
import { hostText, pathText, sourceText } from '../lib/routes.js'
import { Icon } from '../parts/icons.js'
import { Facts, Panel } from '../parts/panel.js'
import { Dot, Pill } from '../parts/pill.js'
import { Answer, Note } from '../parts/states.js'

/** @typedef {import('../lib/shapes.js').RouteView} RouteView */
/** @typedef {import('../lib/contract.js').TrafficView} TrafficView */

const PATH_KIND = { exact: 'exactly', prefix: 'and all below', regex: 'regular expression' }

/** @param {{ title: string, items: readonly string[], none: string }} props */
const Chips = ({ title, items, none }) => html`
  <h3 class="sub">${title}</h3>
  ${items.length === 0 ? html`<p class="muted">${none}</p>` : html`<ul class="tokens">${items.map((item) => html`<li class="mono" key=${item}>${item}</li>`)}</ul>`}
`

/** @param {{ route: RouteView }} props */
const Match = ({ route }) => html`
  <${Panel} title="Takes">
    <${Facts} items=${[
      ['Hosts', html`<span class="mono">${route.hosts.join(', ') || 'any'}</span>`],
      [
        'Path',
        html`<span class="mono">${route.path.value}</span> <span class="muted">${PATH_KIND[route.path.kind]}</span>`,
      ],
      ['Methods', route.methods.join(', ') || 'any'],
      ['Priority', route.priority],
    ]} />
    <${Chips} title="And only if" items=${route.conditions} none="Nothing more is asked of the request." />
  <//>
`

/** @param {{ route: RouteView, traffic: TrafficView | undefined }} props */
function Target({ route, traffic }) {
  const own = traffic?.routes[route.name]
  const shares = Object.entries(own?.services ?? {})
  return html`
    <${Panel} title="Goes to">
      <${Facts} items=${[
        [route.action === 'proxy' ? 'Target' : route.action, html`<b>${route.target}</b>`],
        ['Rate', own ? `${rate(own.rps)}/s` : '–'],
        ['Errors', percent(own?.errorRatio)],
        ['Class', route.class ?? 'by request'],
      ]} />
      ${
        route.services.length > 0 &&
        html`<h3 class="sub">Services</h3><ul class="plain">${route.services.map((service) => {
          const rps = shares.find(([name]) => name === service)?.[1]
          return html`<li key=${service}><a href=${href('services', [service])}>${service}</a>${rps !== undefined && html`<span class="muted"> ${rate(rps)}/s</span>`}</li>`
        })}</ul>`
      }
      ${
        route.canaries.length > 0 &&
        html`<h3 class="sub">Releases that look at its requests</h3><ul class="plain">${route.canaries.map((rule) => html`<li key=${rule}><a href=${href('releases', [rule])}>${rule}</a></li>`)}</ul>`
      }
    <//>
  `
}

/** What was refused of its requests. @param {{ name: string }} props */
function Refusals({ name }) {
  /** @type {import('../lib/resource.js').Known<import('../lib/shapes.js').RefusalsView>} */
  const known = useResource('/api/refusals?limit=200', { everyMs: 5000 })
  return html`
    <${Panel} title="Refused" aside=${html`<a href=${href('refusals', [], { route: name })}>Which ones</a>`}>
      <${Answer} of=${known} name="Refusals" rows=${2}>${(
        /** @type {import('../lib/shapes.js').RefusalsView} */ { counts },
      ) => {
        const own = counts.filter(({ route }) => route === name)
        if (own.length === 0)
          return html`<p class="all-well"><${Dot} tone="good" /> Nothing since the start.</p>`
        return html`<ul class="plain">${own.map(
          ({ filter, code, total, lastMinute }) => html`<li key=${`${filter}/${code}`}>
            <a href=${href('refusals', [], { route: name, filter, code })}>${filter}</a> <span class="mono muted">${code || 'its own answer'}</span>
            <p>${count(total)} in all, ${count(lastMinute)} in the last minute</p></li>`,
        )}</ul>`
      }}<//>
    <//>
  `
}

/** One route: what it takes, what it does, and where it sends. @param {{ name: string, route: RouteView | undefined }} props */
export function RouteDetail({ name, route }) {
  const { data: traffic } = useTraffic()
  if (route === undefined) {
    return html`<div class="panel"><${Note} icon="warning" title="No route of this name">The table in force has no “${name}”. <a href=${href('routes')}>All routes</a><//></div>`
  }
  const labels = Object.entries(route.labels)
  return html`
    <div class="route">
      <section class="panel route-head" aria-label="In short">
        <p class="mono route-line">${route.methods.join(' ') || 'ANY'} ${hostText(route)}${pathText(route)} <${Icon} name="right" /> ${route.target}</p>
        <p class="muted" title=${route.source}>${sourceText(route.source)}</p>
        <a class="button" href=${href('explain', [], queryOf(exampleOf(route)))}><${Icon} name="explain" /> Explain a request</a>
      </section>
      <${Match} route=${route} />
      <${Target} route=${route} traffic=${traffic} />
      <${Panel} title="Filters" aside="in this order">
        ${
          route.filters.length === 0
            ? html`<p class="muted">None: nothing is asked of its requests, nothing is changed.</p>`
            : html`<ol class="chain">${route.filters.map((filter) => html`<li key=${filter}><b>${filter}</b></li>`)}</ol>`
        }
        ${labels.length > 0 && html`<h3 class="sub">Labels</h3><p class="tags">${labels.map(([key, value]) => html`<${Pill} key=${key}>${key}: ${value}<//>`)}</p>`}
      <//>
      <${Refusals} name=${name} />
    </div>
  `
}
