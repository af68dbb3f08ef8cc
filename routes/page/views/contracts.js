// @ts-check
import { send } from '../lib/api.js'
import { count, plural } from '../lib/format.js'
import { html } from '../lib/html.js'
import { refresh, useResource } from '../lib/resource.js'
import { href } from '../lib/router.js'
import { Act } from '../parts/act.js'
import { Panel } from '../parts/panel.js'
import { Dot, Pill } from '../parts/pill.js'
import { Answer, Note } from '../parts/states.js'
import { When } from '../parts/when.js'

/** @typedef {import('../lib/shapes.js').Contract} Contract */
/** @typedef {import('../lib/shapes.js').Breach} Breach */

const VERSION = (/** @type {string | undefined} */ version) =>
  version === undefined ? 'no version' : `version ${version}`

/** @param {Breach} breach Who kept it until then. */
const against = ({ against: who }) =>
  who === undefined ? 'its own earlier answers' : who === 'schema' ? 'the schema' : `version ${who}`

/** @param {{ breach: Breach }} props */
const BreachItem = ({ breach }) => html`
  <li>
    <p><${Pill} tone="bad">${breach.kind}<//> <b class="mono">${breach.path}</b></p>
    <p><span class="mono">${breach.before}</span> → <span class="mono text-tone tone-bad">${breach.after}</span></p>
    <p class="muted">${VERSION(breach.version)} of <a href=${href('services', [breach.service])}>${breach.service}</a>, against ${against(breach)} · ${count(breach.count)} of ${plural(breach.answers, 'answer')} · <${When} at=${breach.firstSeen} /></p>
  </li>
`

/** @param {{ contract: Contract }} props */
function ContractPanel({ contract: { route, versions, hasSchema, breaches } }) {
  const forget = async () => {
    await send(`/api/contracts/${encodeURIComponent(route)}`, {}, 'DELETE')
    refresh('/api/contracts')
    return `What ${route} answers from now on is right.`
  }
  return html`
    <${Panel} title=${route} aside=${html`${breaches.length > 0 && html`<${Pill} tone="bad">${plural(breaches.length, 'breach', 'breaches')}<//>`}<${Act} label="Forget…" action="Forget" isSmall isDanger isQuiet title=${`Forget what ${route} answered?`} onAct=${forget}><p>What it answers from now on is right; its ${plural(breaches.length, 'breach', 'breaches')} and all that was learnt of its fields go.</p><//>`}>
      <p class="mirror-route"><a href=${href('routes', [route])}>Its route</a> <span class="muted">${hasSchema ? 'has a schema' : 'learnt from its answers'}</span></p>
      ${breaches.length === 0 ? html`<p class="all-well"><${Dot} tone="good" /> Every field is as it was.</p>` : html`<ul class="breaches">${breaches.map((breach) => html`<${BreachItem} key=${`${breach.version}/${breach.path}/${breach.kind}`} breach=${breach} />`)}</ul>`}
      <h3 class="sub">Versions</h3>
      <ul class="plain">${versions.map(
        ({ version, service, answers, fields, isCut, lastSeen }) =>
          html`<li key=${`${service}/${version}`}><b>${VERSION(version)}</b> of ${service} <span class="muted">${plural(answers, 'answer')}, ${plural(fields, 'field')}${isCut && ' (there are more)'}, last <${When} at=${lastSeen} /></span></li>`,
      )}</ul>
    <//>
  `
}

/** Shapes of answers, and what was broken of them. */
function Contracts() {
  /** @type {import('../lib/resource.js').Known<{ contracts: readonly Contract[] }>} */
  const known = useResource('/api/contracts', { everyMs: 5000, on: ['contract', 'table'] })
  return html`<${Answer} of=${known} name="Contracts" rows=${8}>${(
    /** @type {{ contracts: readonly Contract[] }} */ { contracts },
  ) =>
    contracts.length === 0
      ? html`<div class="panel"><${Note} icon="contract" title="No answers are watched">A route with <code>contract</code> learns the fields of its JSON answers; a version that drops one, or sends another type, stands here.<//></div>`
      : html`<div class="contracts">${[...contracts].sort((a, b) => b.breaches.length - a.breaches.length).map((contract) => html`<${ContractPanel} key=${contract.route} contract=${contract} />`)}</div>`}<//>`
}

function BreachBadge() {
  /** @type {import('../lib/resource.js').Known<{ contracts: readonly Contract[] }>} */
  const { data } = useResource('/api/contracts', { everyMs: 15_000, on: ['contract'] })
  const amount = data?.contracts.reduce((sum, { breaches }) => sum + breaches.length, 0) ?? 0
  return amount === 0 ? null : html`<${Pill} tone="bad">${amount}<span class="hidden"> breaches</span><//>`
}

/** @type {import('./index.js').ViewEntry} */
export const contracts = {
  id: 'contracts',
  title: 'Contracts',
  group: 'Traffic',
  icon: 'contract',
  View: Contracts,
  Badge: BreachBadge,
}
