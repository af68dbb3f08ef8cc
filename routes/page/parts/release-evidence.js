// @ts-check
import { count, percent } from '../lib/format.js'
import { html } from '../lib/html.js'
import { Pill } from './pill.js'

/** @typedef {import('../lib/shapes.js').ReleaseView} ReleaseView */

/** From here on no step upwards is taken. 1 = the alarm. */
const SUSPECTED = 0.5

/** @param {ReleaseView['checks'][number]} check @returns {readonly [string, import('../lib/health.js').Tone]} */
function verdict({ suspicion, failures, breaches }) {
  if (breaches !== undefined && breaches.length > 0) return ['broken: no step upwards', 'bad']
  if (suspicion >= 1) return ['alarm', 'bad']
  if (suspicion >= SUSPECTED) return ['suspected: no step upwards', 'warn']
  return failures > 0 ? [`${failures} bad in a row`, 'warn'] : ['nothing suspected', 'good']
}

/** How far it is to the alarm. @param {{ check: ReleaseView['checks'][number] }} props */
function Check({ check }) {
  const { name, suspicion, breaches = [] } = check
  const [words, tone] = verdict(check)
  return html`
    <li class="check tone-${tone}">
      <p><b>${name}</b> <${Pill} tone=${tone}>${words}<//></p>
      <div class="suspicion" role="meter" aria-label="Suspicion by ${name}" aria-valuemin="0" aria-valuemax="1" aria-valuenow=${Math.min(1, suspicion)} aria-valuetext="${suspicion} of 1, ${words}">
        <i class="suspicion-fill" style=${{ width: `${Math.min(1, suspicion) * 100}%` }}></i>
      </div>
      <span class="figure">${suspicion.toFixed(2)}</span>
      ${breaches.length > 0 && html`<ul class="check-breaches">${breaches.map((text) => html`<li key=${text}>${text}</li>`)}</ul>`}
    </li>
  `
}

/** @param {{ name: string, of: { total: number, bad: number } }} props */
const Side = ({ name, of: { total, bad } }) => html`
  <tr><th scope="row">${name}</th><td>${count(total)}</td><td>${count(bad)}</td><td>${total === 0 ? '–' : percent(bad / total)}</td></tr>
`

/** What was counted in this step, and what the checks make of it. @param {{ release: ReleaseView }} props */
export const Evidence = ({ release: { counts, checks } }) => html`
  <div class="evidence">
    <table class="counts">
      <caption>In this step</caption>
      <thead><tr><td></td><th scope="col">Requests</th><th scope="col">Bad</th><th scope="col">Share</th></tr></thead>
      <tbody><${Side} name="canary" of=${counts.canary} /><${Side} name="stable" of=${counts.stable} /></tbody>
    </table>
    <div>
      <p class="muted evidence-title">Checks, and how near each is to its alarm</p>
      ${
        checks.length === 0
          ? html`<p>No guard: it goes by time and numbers alone.</p>`
          : html`<ul class="checks-meters">${checks.map((check) => html`<${Check} key=${check.name} check=${check} />`)}</ul>`
      }
    </div>
  </div>
`
