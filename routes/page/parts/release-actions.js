// @ts-check
import { useState } from 'preact/hooks'
import { send } from '../lib/api.js'
import { useSession } from '../lib/data.js'
import { html } from '../lib/html.js'
import { refresh } from '../lib/resource.js'
import { Act } from './act.js'

/** @typedef {import('../lib/shapes.js').ReleaseView} ReleaseView */

/** What a state allows; the gateway has the last word. */
const ALLOWED = /** @type {Readonly<Record<string, readonly string[]>>} */ ({
  waiting: ['promote', 'pause', 'set', 'abort'],
  ramping: ['promote', 'pause', 'set', 'abort'],
  holding: ['promote', 'pause', 'set', 'abort'],
  paused: ['resume', 'promote', 'set', 'abort'],
  promoted: ['promote', 'pause', 'set', 'abort'],
  finished: ['set', 'abort'],
  aborted: ['resume', 'set'],
})

/** @param {ReleaseView} release Its next step in words; empty = it was at the last one. */
export function nextStep({ step, steps, plan }) {
  if (step >= steps) return ''
  const next = plan?.[step]
  return next === undefined
    ? `step ${step + 1} of ${steps}`
    : `step ${step + 1} of ${steps}, ${next.percent} %`
}

/** @param {string} name @param {string} who */
const actOn = (name, who) => async (/** @type {object} */ body, /** @type {string} */ reason) => {
  /** @type {ReleaseView} */
  const release = await send(`/api/canary/${encodeURIComponent(name)}`, {
    ...body,
    reason,
    ...(who === '' ? {} : { by: who.slice(0, 64) }),
  })
  refresh('/api/canaries', '/api/tables')
  return `${name} is ${release.status} with ${release.percent} %.`
}

/** @param {{ name: string, release: ReleaseView, act: ReturnType<typeof actOn> }} props */
function SetShare({ name, release, act }) {
  // As text: a number would lose the zeros of a share that is half typed.
  const [typed, setTyped] = useState('')
  const percent = typed === '' ? release.percent : Number(typed)
  const [isForced, setForced] = useState(false)
  return html`
    <${Act} label="Set share…" action="Set share" isSmall needsReason title=${`Set the share of ${name}?`} onAct=${(/** @type {string} */ reason) => act({ action: 'set', percent, force: isForced }, reason)}>
      <p>It gets this share at once and stays there, paused. It is still watched.</p>
      <label class="field">Share, percent
        <input name="percent" type="number" min="0" max="100" step="0.01" required value=${typed === '' ? release.percent : typed} onInput=${(/** @type {any} */ event) => setTyped(event.currentTarget.value)} />
      </label>
      <label class="tick"><input type="checkbox" name="force" checked=${isForced} onChange=${(/** @type {any} */ event) => setForced(event.currentTarget.checked)} /> Even beyond the next step</label>
    <//>
  `
}

/** What a person may do with a release now. @param {{ name: string, release: ReleaseView }} props */
export function ReleaseActions({ name, release }) {
  const { canWrite, who } = useSession()
  if (!canWrite) return null
  const { status, percent } = release
  const act = actOn(name, who)
  const may = (/** @type {string} */ action) => ALLOWED[status]?.includes(action) ?? true
  const simple = (/** @type {string} */ action) => (/** @type {string} */ reason) => act({ action }, reason)
  const next = nextStep(release)
  return html`
    <div class="actions">
      ${
        may('promote') &&
        html`<${Act} label="Promote…" action="Promote" isMain isSmall needsReason title=${`Promote ${name}?`} onAct=${simple('promote')}>
        <p>${next === '' ? 'It was at its last step: the release is then finished.' : `It goes on to ${next}, now, whatever it still waits for.`}</p><//>`
      }
      ${
        may('pause') &&
        html`<${Act} label="Pause…" action="Pause" isSmall needsReason title=${`Pause ${name}?`} onAct=${simple('pause')}>
        <p>It stays at ${percent} %. It is still watched, and rolled back when it is bad.</p><//>`
      }
      ${
        may('resume') &&
        html`<${Act} label=${status === 'aborted' ? 'Begin anew…' : 'Resume…'} action=${status === 'aborted' ? 'Begin anew' : 'Resume'} isMain=${status === 'paused'} isSmall needsReason title=${status === 'aborted' ? `Begin ${name} anew?` : `Resume ${name}?`} onAct=${simple('resume')}>
        <p>${status === 'aborted' ? 'It begins at its first step.' : 'It goes on at its step by itself.'}</p><//>`
      }
      ${may('set') && html`<${SetShare} name=${name} release=${release} act=${act} />`}
      ${
        may('abort') &&
        html`<${Act} label="Abort…" action="Abort" isDanger isSmall needsReason title=${`Abort ${name}?`} onAct=${simple('abort')}>
        <p>The canary gets 0 % at once, on every gateway; its pins are released, but for those that the rule keeps.</p><//>`
      }
    </div>
  `
}
