// @ts-check
import { useCell } from '../lib/cell.js'
import { count, plural } from '../lib/format.js'
import { releaseTone } from '../lib/health.js'
import { html } from '../lib/html.js'
import { useResource } from '../lib/resource.js'
import { goQuery, href, place } from '../lib/router.js'
import { Choice } from '../parts/field.js'
import { Panel } from '../parts/panel.js'
import { Pill } from '../parts/pill.js'
import { ReleaseCard } from '../parts/release-card.js'
import { Rule } from '../parts/release-rule.js'
import { Answer, Note } from '../parts/states.js'
import { Table } from '../parts/table.js'

/** @typedef {import('../lib/contract.js').CanaryView} CanaryView */
/** @typedef {{ canaries: readonly CanaryView[], decides?: boolean }} Canaries */

/** Those that wait for a person first. */
const RANK = ['holding', 'ramping', 'paused', 'promoted', 'waiting', 'aborted', 'finished']
/** @param {CanaryView} canary */
const rankOf = ({ release }) => RANK.indexOf(release?.status ?? '')
/** @param {CanaryView} canary It still goes on, or somebody should look. */
const isOpen = ({ release }) =>
  release !== undefined && release.status !== 'finished' && release.status !== 'aborted'

/** @type {readonly import('../parts/table.js').Column<CanaryView>[]} */
const COLUMNS = [
  {
    id: 'name',
    title: 'Rule',
    width: 'minmax(130px, 1.4fr)',
    cell: ({ name, kind }) =>
      html`<div class="two-lines"><a class="row-link" href=${href('releases', [name])}><span class="cut">${name}</span></a><span class="muted">${kind}</span></div>`,
  },
  {
    id: 'services',
    title: 'Services',
    width: 'minmax(90px, 1fr)',
    cell: ({ services }) => services.join(', '),
  },
  {
    id: 'match',
    title: 'Pins',
    width: 'minmax(120px, 2fr)',
    from: 640,
    cell: ({ match }) =>
      html`<span title=${match.join('\n')}>${match.length === 0 ? '–' : match[0]}${match.length > 1 && html`<span class="muted"> and ${match.length - 1} more</span>`}</span>`,
  },
  {
    id: 'state',
    title: 'State',
    width: '120px',
    from: 520,
    cell: ({ state, isLive }) =>
      state === 'file' || !isLive ? html`<span class="muted">as the file says</span>` : state,
  },
  { id: 'percent', title: 'Share', width: '56px', isFigure: true, cell: ({ percent }) => `${percent} %` },
]

/** @param {Canaries} props */
function List({ canaries, decides }) {
  const { show = 'all' } = useCell(place).query
  const led = canaries
    .filter(({ release }) => release !== undefined)
    .sort((a, b) => rankOf(a) - rankOf(b) || a.name.localeCompare(b.name))
  const still = canaries.filter(({ release }) => release === undefined)
  const shown = show === 'open' ? led.filter(isOpen) : led
  if (canaries.length === 0) {
    return html`<div class="panel"><${Note} icon="canary" title="No releases">A file in <code>canary.d</code> with a rule, and <code>ramp</code> in it, lets a new version get its traffic step by step.<//></div>`
  }
  return html`
    <div class="stack">
      ${
        led.length > 0 &&
        html`<div class="toolbar releases-bar">
          <${Choice} label="Which ones" options=${[['all', `All ${count(led.length)}`], ['open', `Under way ${count(led.filter(isOpen).length)}`]]} value=${show} onChange=${(/** @type {string} */ value) => goQuery({ show: value === 'all' ? '' : value })} />
          ${decides !== undefined && html`<span class="muted end">${decides ? 'This gateway decides on releases' : 'Another gateway decides; any may be asked'}</span>`}
        </div>`
      }
      ${led.length > 0 && shown.length === 0 && html`<div class="panel"><${Note} title="Nothing is under way" /></div>`}
      <div class="release-cards">${shown.map((canary) => html`<${ReleaseCard} key=${canary.name} canary=${canary} />`)}</div>
      ${
        still.length > 0 &&
        html`<${Panel} title="Rules and lanes that do not lead themselves" aside=${plural(still.length, 'rule')} isFlush>
          <${Table} label="Rules and lanes" columns=${COLUMNS} rows=${still} rowHeight=${52} rowKey=${(/** @type {CanaryView} */ { name }) => name} />
        <//>`
      }
    </div>
  `
}

/** Who gets which version, and how far releases have come. @param {{ rest: readonly string[] }} props */
function Releases({ rest: [name] }) {
  /** @type {import('../lib/resource.js').Known<Canaries>} */
  const known = useResource('/api/canaries', { everyMs: 2000, on: ['canary', 'table'] })
  return html`<${Answer} of=${known} name="Releases" rows=${8}>${(
    /** @type {Canaries} */ { canaries, decides },
  ) =>
    name === undefined
      ? html`<${List} canaries=${canaries} decides=${decides} />`
      : html`<${Rule} name=${name} canary=${canaries.find((canary) => canary.name === name)} />`}<//>`
}

function OpenBadge() {
  /** @type {import('../lib/resource.js').Known<Canaries>} */
  const { data } = useResource('/api/canaries', { everyMs: 5000, on: ['canary', 'table'] })
  const open = data?.canaries.filter(isOpen) ?? []
  if (open.length === 0) return null
  const isWaiting = open.some(({ release }) => releaseTone(release?.status ?? '') === 'warn')
  return html`<${Pill} tone=${isWaiting ? 'warn' : 'info'}>${open.length}<span class="hidden"> under way</span><//>`
}

/** @type {import('./index.js').ViewEntry} */
export const releases = {
  id: 'releases',
  title: 'Releases',
  group: 'Traffic',
  icon: 'canary',
  View: Releases,
  Badge: OpenBadge,
}
