// @ts-check
import { send } from '../lib/api.js'
import { count, percent, plural, span } from '../lib/format.js'
import { cx, html } from '../lib/html.js'
import { refresh, useResource } from '../lib/resource.js'
import { href } from '../lib/router.js'
import { Act } from '../parts/act.js'
import { Panel } from '../parts/panel.js'
import { Pill } from '../parts/pill.js'
import { Answer, Note } from '../parts/states.js'
import { When } from '../parts/when.js'

/** @typedef {import('../lib/shapes.js').Mirror} Mirror */
/** @typedef {import('../lib/shapes.js').Difference} Difference */
/** @typedef {import('../lib/health.js').Tone} Tone */

/** What became of copies, in words. @type {Readonly<Record<string, readonly [string, Tone]>>} */
const RESULTS = {
  ok: ['answered', 'good'],
  error: ['failed', 'bad'],
  timeout: ['timed out', 'bad'],
  no_instance: ['nobody there', 'bad'],
  paused: ['left alone: it did not answer', 'warn'],
  dropped: ['dropped: too many under way', 'warn'],
  too_large: ['too large', 'idle'],
  unsent: ['the client left', 'idle'],
}

/** @param {{ results: Mirror['results'] }} props */
function Results({ results }) {
  const entries = Object.entries(RESULTS).filter(([result]) => (results[result] ?? 0) > 0)
  if (entries.length === 0) return html`<p class="muted">No copy was sent yet.</p>`
  return html`
    <div class="outcomes">
      <div class="outcome-bar" aria-hidden="true">${entries.map(([result, [, tone]]) => html`<i class="tone-${tone}" key=${result} style=${{ flexGrow: results[result] }}></i>`)}</div>
      <ul>${entries.map(([result, [words, tone]]) => html`<li class="tone-${tone}" key=${result}><i aria-hidden="true"></i><b>${count(results[result])}</b> ${words}</li>`)}</ul>
    </div>
  `
}

/** @param {{ example: Difference['examples'][number] }} props */
const Example = ({ example: { at, request, kind, primary, mirror } }) => html`
  <li>
    <p><span class="mono">${request}</span> <span class="muted">${kind} · <${When} at=${at} /></span></p>
    <dl class="versus"><div><dt>clients got</dt><dd class="mono">${primary}</dd></div><div><dt>the mirror said</dt><dd class="mono">${mirror}</dd></div></dl>
  </li>
`

/** @param {{ difference: Difference }} props */
const Place = ({
  difference: { path, kinds, differs, share, noiseShare, isNoise, lastSeen, examples },
}) => html`
  <li class=${cx('place', isNoise && 'is-noise')}>
    <div class="place-head">
      <b class="mono">${path}</b>
      <span>${Object.entries(kinds).map(([kind, amount]) => html`<${Pill} key=${kind} tone=${isNoise ? 'idle' : 'warn'}>${kind} ${count(amount)}<//> `)}${isNoise && html`<${Pill} title="Stable differs from itself there about as often">noise<//>`}</span>
      <span class="place-share">${percent(share)}<span class="muted"> of answers</span></span>
    </div>
    <div class="place-bar" aria-hidden="true"><i class="bar-fill" style=${{ width: `${share * 100}%` }}></i>${noiseShare > 0 && html`<u style=${{ left: `${noiseShare * 100}%` }}></u>`}</div>
    <p class="muted">${count(differs)} times, last <${When} at=${lastSeen} />${noiseShare > 0 && `; stable differs from itself in ${percent(noiseShare)}`}</p>
    ${examples.length > 0 && html`<details><summary>${plural(examples.length, 'example')}, values masked</summary><ul class="place-examples">${examples.map((example, index) => html`<${Example} key=${index} example=${example} />`)}</ul></details>`}
  </li>
`

/** @param {{ report: NonNullable<Mirror['report']>, uncompared: number }} props */
function Report({ report: { compared, equal, different, noiseCompared, elsewhere, paths }, uncompared }) {
  if (compared === 0) return html`<p class="muted">No answers were compared yet.</p>`
  return html`
    <h3 class="sub">Answers</h3>
    <p class="compared"><b class="text-tone tone-${different > 0 ? 'warn' : 'good'}">${percent(equal / compared)}</b> as clients got them: ${count(equal)} of ${count(compared)} compared; ${count(different)} differ.</p>
    <p class="muted">${noiseCompared > 0 ? `Stable was asked twice ${count(noiseCompared)} times to know the noise.` : 'Nothing is known of the noise yet.'}${uncompared > 0 && ` ${count(uncompared)} could not be compared.`}${elsewhere > 0 && ` ${count(elsewhere)} differences at further places.`}</p>
    ${paths.length > 0 && html`<ul class="places">${paths.map((difference) => html`<${Place} key=${difference.path} difference=${difference} />`)}</ul>`}
  `
}

/** @param {{ mirror: Mirror }} props */
function MirrorPanel({
  mirror: { mirror, target, percent: share, inFlight, results, uncompared, report, pausedMs },
}) {
  const reset = async () => {
    await send(`/api/mirror/${encodeURIComponent(mirror)}/reset`)
    refresh('/api/mirror')
    return `The report of ${mirror} begins anew.`
  }
  const isRoute = !mirror.startsWith('service ')
  const to = [target.service, target.version && `version ${target.version}`].filter(Boolean).join(', ')
  return html`
    <${Panel} title=${mirror} aside=${html`<span>${share} % to ${to || 'itself'} · ${count(inFlight)} under way</span><${Act} label="Reset…" action="Reset" isSmall title=${`Begin the report of ${mirror} anew?`} onAct=${reset}><p>Counts and differences are forgotten. Copies go on.</p><//>`}>
      ${isRoute && html`<p class="mirror-route"><a href=${href('routes', [mirror])}>Its route</a></p>`}
      ${pausedMs !== undefined && html`<p class="mirror-paused text-tone tone-warn">It did not answer: no copies for ${span(pausedMs)}, then one tries.</p>`}
      <${Results} results=${results} />
      ${report ? html`<${Report} report=${report} uncompared=${uncompared} />` : html`<p class="muted">Its answers are not compared.</p>`}
    <//>
  `
}

/** Copies of requests for another version, and in what its answers differ. */
function MirrorView() {
  /** @type {import('../lib/resource.js').Known<{ mirrors: readonly Mirror[] }>} */
  const known = useResource('/api/mirror', { everyMs: 3000, on: ['table'] })
  return html`<${Answer} of=${known} name="Mirrors" rows=${8}>${(
    /** @type {{ mirrors: readonly Mirror[] }} */ { mirrors },
  ) =>
    mirrors.length === 0
      ? html`<div class="panel"><${Note} icon="mirror" title="No copies yet">A route or service with <code>mirror</code> sends copies of its requests to another version; what differs in its answers stands here. Clients notice nothing.<//></div>`
      : html`<div class="stack">${mirrors.map((mirror) => html`<${MirrorPanel} key=${mirror.mirror} mirror=${mirror} />`)}</div>`}<//>`
}

/** @type {import('./index.js').ViewEntry} */
export const mirror = { id: 'mirror', title: 'Mirrors', group: 'Traffic', icon: 'mirror', View: MirrorView }
