// @ts-check
import { useId } from 'preact/hooks'
import { useNow } from '../lib/clock.js'
import { fullTime, plural, span } from '../lib/format.js'
import { releaseTone } from '../lib/health.js'
import { cx, html } from '../lib/html.js'
import { href } from '../lib/router.js'
import { Pill } from './pill.js'
import { ReleaseActions } from './release-actions.js'
import { Evidence } from './release-evidence.js'
import { History, Stairs } from './release-history.js'
import { Steps } from './release-steps.js'

/** @typedef {import('../lib/contract.js').CanaryView} CanaryView */

/** Who gets how much, and who is there to serve it. @param {{ sides: CanaryView['sides'] }} props */
export function Shares({ sides }) {
  const own = [...sides].sort((a, b) => Number(a.name === 'stable') - Number(b.name === 'stable'))
  return html`
    <div class="shares">
      <div class="share-bar" aria-hidden="true">${own.map(({ service, name, percent }, index) => html`<i class=${cx(name === 'stable' ? 'is-stable' : `is-${(index % 3) + 1}`)} key=${`${service}/${name}`} style=${{ flexGrow: percent }}></i>`)}</div>
      <ul>${own.map(
        (
          { service, name, select, percent, instances, available },
          index,
        ) => html`<li key=${`${service}/${name}`}>
          <i class=${name === 'stable' ? 'is-stable' : `is-${(index % 3) + 1}`} aria-hidden="true"></i>
          <b>${name}</b> ${percent} %${' '}
          <span class="muted">${select} of <a href=${href('services', [service])}>${service}</a>, </span>
          <span class=${available === 0 ? 'text-tone tone-bad' : 'muted'}>${available} of ${plural(instances, 'instance')}</span>
        </li>`,
      )}</ul>
    </div>
  `
}

/** How long it has been so. @param {{ since: number }} props */
function For({ since }) {
  const now = useNow(1000)
  return html`<span title=${fullTime(since)}>for ${span(Math.max(0, now - since))}</span>`
}

/** One release with everything that somebody needs to decide. @param {{ canary: CanaryView, isWhole?: boolean }} props `isWhole`: with its history open. */
export function ReleaseCard({ canary, isWhole = false }) {
  const title = useId()
  const { name, kind, services, sides, release } = canary
  if (release === undefined) return null
  const { status, percent, by, reason, since, history } = release
  return html`
    <article class="panel release tone-${releaseTone(status)}" aria-labelledby=${title}>
      <header class="release-head">
        <div>
          <h2 id=${title}>${isWhole ? name : html`<a href=${href('releases', [name])}>${name}</a>`} <${Pill} tone=${releaseTone(status)}>${status}<//></h2>
          <p class="muted">${kind} of ${services.map((service, index) => html`${index > 0 && ', '}<a href=${href('services', [service])}>${service}</a>`)} · by ${by} · <${For} since=${since} /></p>
        </div>
        <p class="release-share" aria-label="Share">${percent}<small> %</small></p>
      </header>
      ${reason && html`<p class="release-reason">${reason}</p>`}
      <${Steps} release=${release} />
      <${Shares} sides=${sides} />
      <${Evidence} release=${release} />
      <${ReleaseActions} name=${name} release=${release} />
      ${
        isWhole
          ? html`<div><h3 class="sub">History</h3><${Stairs} history=${history} /><${History} history=${history} /></div>`
          : html`<details><summary>History, ${plural(history.length, 'entry', 'entries')}</summary><div class="release-past"><${Stairs} history=${history} /><${History} history=${history} /></div></details>`
      }
    </article>
  `
}
