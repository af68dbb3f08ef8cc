// @ts-check
import { useNow } from '../lib/clock.js'
import { count, span } from '../lib/format.js'
import { cx, html } from '../lib/html.js'

/** @typedef {import('../lib/shapes.js').ReleaseView} ReleaseView */

/** @param {{ label: string, part: number }} props `part`: 0 to 1. */
const Progress = ({ label, part }) => html`
  <div class=${cx('progress', part >= 1 && 'is-full')}><span>${label}</span><i><b style=${{ width: `${Math.min(1, Math.max(0, part)) * 100}%` }}></b></i></div>
`

/** What the current step still waits for. @param {{ release: ReleaseView }} props */
function Waits({ release: { status, plan, step, since, counts } }) {
  const now = useNow()
  const current = plan?.[step - 1]
  if (current === undefined || (status !== 'ramping' && status !== 'promoted')) return null
  const passed = Math.max(0, now - since)
  return html`
    <div class="waits">
      ${current.forMs > 0 && html`<${Progress} label=${`${span(Math.min(passed, current.forMs))} of ${span(current.forMs)}`} part=${passed / current.forMs} />`}
      ${current.minRequests > 0 && html`<${Progress} label=${`${count(counts.canary.total)} of ${count(current.minRequests)} requests`} part=${counts.canary.total / current.minRequests} />`}
    </div>
  `
}

/** All steps of a release, and where it stands. @param {{ release: ReleaseView }} props */
export function Steps({ release }) {
  const { status, step, steps, plan, percent } = release
  const isOver = status === 'finished'
  const list = plan ?? Array.from({ length: steps }, () => undefined)
  if (list.length === 0) return null
  return html`
    <ol class=${cx('step-bar', `is-${status}`)} aria-label="Steps">
      ${list.map((one, index) => {
        const state = isOver || index + 1 < step ? 'done' : index + 1 === step ? 'current' : 'ahead'
        const words = { done: 'done', current: 'now', ahead: 'to come' }[state]
        return html`<li class="is-${state}" key=${index} aria-current=${state === 'current' ? 'step' : undefined}>
          <i></i><b>${one === undefined ? index + 1 : `${one.percent} %`}</b>
          <span class="muted">${one?.isHold ? 'a person promotes' : one && one.forMs > 0 ? span(one.forMs) : ''}</span><span class="hidden"> ${words}</span>
        </li>`
      })}
    </ol>
    ${status === 'paused' && plan?.[step - 1] !== undefined && plan[step - 1]?.percent !== percent && html`<p class="muted">Set by hand: ${percent} % belongs to no step.</p>`}
    <${Waits} release=${release} />
  `
}
