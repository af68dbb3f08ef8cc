// @ts-check
import { useState } from 'preact/hooks'
import { send } from '../lib/api.js'
import { useTables } from '../lib/data.js'
import { plural } from '../lib/format.js'
import { cx, html } from '../lib/html.js'
import { refresh } from '../lib/resource.js'
import { Act } from '../parts/act.js'
import { changeCounts, Diff } from '../parts/diff.js'
import { Icon } from '../parts/icons.js'
import { Panel } from '../parts/panel.js'
import { Dot, Pill } from '../parts/pill.js'
import { Answer, Note } from '../parts/states.js'
import { When } from '../parts/when.js'

/** @typedef {import('../lib/contract.js').TablesView} TablesView */
/** @typedef {import('../lib/shapes.js').TableVersionView} TableVersionView */

const OUTCOME = /** @type {Readonly<Record<string, string>>} */ ({
  applied: 'The configuration was read and is in force.',
  unchanged: 'The configuration was read; nothing in it has changed.',
})

const seen = () => refresh('/api/tables', '/api/topology', '/api/routes')

/** Reads the files again. */
function Reload() {
  const [isForced, setForced] = useState(false)
  const reload = async () => {
    const { result } = await send('/api/reload', isForced ? { force: true } : {})
    seen()
    return OUTCOME[result] ?? `The reload was ${result}.`
  }
  return html`
    <${Act} label="Reload…" action="Reload" isSmall title="Read the configuration again?" onAct=${reload}>
      <p>Files that are not valid change nothing. What is under way goes on.</p>
      <label class="tick"><input type="checkbox" name="force" checked=${isForced} onChange=${(/** @type {any} */ event) => setForced(event.currentTarget.checked)} /> Even if it changes more than the guard allows</label>
    <//>
  `
}

/**
 * What was changed after a version, without instances: those stay as the registries say.
 * @param {readonly TableVersionView[]} versions
 * @param {number} version
 */
const changedSince = (versions, version) => [
  ...new Set(
    versions
      .filter((one) => one.version > version)
      .flatMap(({ changes }) => changes)
      .filter((line) => !/^. instance /.test(line)),
  ),
]

/** @param {{ version: number, versions: readonly TableVersionView[] }} props */
function Rollback({ version, versions }) {
  const changes = changedSince(versions, version)
  const rollback = async () => {
    const table = await send(`/api/tables/${version}/rollback`)
    seen()
    return `Table ${table.version} is in force, with the configuration of version ${version}.`
  }
  return html`
    <${Act} label="Roll back…" action=${`Roll back to ${version}`} isDanger isQuiet isSmall title=${`Roll back to version ${version}?`} onAct=${rollback}>
      <p>Routes, services and canary rules become those of version ${version} again, in a new version. Instances stay as the registries say. The next edit of the files ends it.</p>
      ${changes.length > 0 ? html`<details><summary>What was changed since then: ${changeCounts(changes)}</summary><${Diff} changes=${changes} /></details>` : html`<p class="muted">Since then only instances have changed.</p>`}
    <//>
  `
}

/** @param {{ version: TableVersionView, versions: readonly TableVersionView[], isFirst: boolean }} props */
const Version = ({ version, versions, isFirst }) => html`
  <li class=${cx('version', version.isCurrent && 'is-current')}>
    <div class="version-head">
      <b class="version-number">${version.version}</b>
      <div>
        <p class="version-cause">${version.cause}</p>
        <p class="muted"><${When} at=${version.createdAt} /> · ${plural(version.routes, 'route')}, ${plural(version.services, 'service')}, ${plural(version.instances, 'instance')} · <span class="mono">${version.id.slice(0, 12)}</span></p>
      </div>
      ${version.isCurrent ? html`<${Pill} tone="good">in force<//>` : html`<${Rollback} version=${version.version} versions=${versions} />`}
    </div>
    ${
      version.changes.length === 0
        ? html`<p class="muted version-changes">Nothing that one could see.</p>`
        : html`<details class="version-changes" open=${isFirst}><summary>${changeCounts(version.changes) || plural(version.changes.length, 'line')}</summary><${Diff} changes=${version.changes} /></details>`
    }
  </li>
`

/** @param {{ title: string, texts: readonly string[], none: string }} props */
const Findings = ({ title, texts, none }) => html`
  <${Panel} title=${title} aside=${texts.length > 0 && html`<${Pill} tone="warn">${texts.length}<//>`}>
    ${
      texts.length === 0
        ? html`<p class="all-well"><${Dot} tone="good" /> ${none}</p>`
        : html`<ul class="list">${texts.map((text) => html`<li key=${text}><${Dot} tone="warn" /><div>${text}</div></li>`)}</ul>`
    }
  <//>
`

/** @param {{ rejection: NonNullable<TablesView['rejection']> }} props */
const Rejection = ({ rejection: { at, cause, message } }) => html`
  <section class="panel rejection" aria-labelledby="rejection">
    <h2 id="rejection"><${Icon} name="warning" /> The last candidate was rejected</h2>
    <p><${When} at=${at} /> · ${cause}. The table before it stays in force.</p>
    <pre tabindex="0" aria-label="Why">${message}</pre>
  </section>
`

/** What is in force, since when and why, and the way back. */
function Tables() {
  const known = useTables()
  return html`<${Answer} of=${known} name="Tables" rows=${8}>${(
    /** @type {TablesView} */ { versions, rejection, warnings, problems },
  ) => html`
    <div class="tables">
      ${rejection && html`<${Rejection} rejection=${rejection} />`}
      <${Panel} title="Versions" aside=${html`<span>the last ${versions.length}</span><${Reload} />`} isFlush>
        ${
          versions.length === 0
            ? html`<${Note} icon="tables" title="No table yet">The gateway waits for its registries, or for a valid configuration.<//>`
            : html`<ol class="versions">${versions.map((version, index) => html`<${Version} key=${version.version} version=${version} versions=${versions} isFirst=${index === 0} />`)}</ol>`
        }
      <//>
      <div class="stack">
        <${Findings} title="Findings of the linter" texts=${warnings} none="It finds nothing in the table in force." />
        <${Findings} title="Problems" texts=${problems} none="Nothing was dropped from registries and declared routes." />
      </div>
    </div>`}<//>`
}

function RejectedBadge() {
  const { data } = useTables()
  return data?.rejection ? html`<${Pill} tone="bad">rejected<//>` : null
}

/** @type {import('./index.js').ViewEntry} */
export const tables = {
  id: 'tables',
  title: 'Tables',
  group: 'Gateway',
  icon: 'tables',
  View: Tables,
  Badge: RejectedBadge,
}
