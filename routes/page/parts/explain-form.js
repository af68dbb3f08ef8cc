// @ts-check
import { useState } from 'preact/hooks'
import { readCurl } from '../lib/explain.js'
import { html } from '../lib/html.js'
import { Icon } from './icons.js'
import { tell } from './toast.js'

/** @typedef {import('../lib/explain.js').Question} Question */

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

/** @param {() => void} write */
async function share(write) {
  write()
  try {
    await navigator.clipboard.writeText(location.href)
    tell('good', 'The address of this question is in the clipboard.')
  } catch {
    // Browsers give the clipboard to HTTPS and loopback only.
    tell('info', 'Copy the address of this page: it holds the question.')
  }
}

/**
 * A request as somebody describes it.
 * @param {object} props
 * @param {Question} props.question
 * @param {string} props.headersProblem
 * @param {string} props.claimsProblem
 * @param {(question: Question) => void} props.onChange With each key.
 * @param {() => void} props.onShare The address must hold the question now.
 */
export function ExplainForm({ question, headersProblem, claimsProblem, onChange, onShare }) {
  const { method, url, headers, client, claims, trusted } = question
  const [isOpen, setOpen] = useState(headers !== '' || client !== '' || claims !== '' || trusted)
  const set = (/** @type {Partial<Question>} */ part) => onChange({ ...question, ...part })
  const paste = (/** @type {ClipboardEvent} */ event) => {
    const found = readCurl(event.clipboardData?.getData('text') ?? '')
    if (found === undefined) return
    event.preventDefault()
    setOpen(found.headers !== '')
    onChange({ ...question, ...found })
  }
  const methods = METHODS.includes(method) ? METHODS : [...METHODS, method]
  return html`
    <form class="explain-form" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <div class="explain-line">
        <label><span class="hidden">Method</span>
          <select name="method" value=${method} onChange=${(/** @type {any} */ event) => set({ method: event.currentTarget.value })}>
            ${methods.map((one) => html`<option key=${one}>${one}</option>`)}
          </select>
        </label>
        <label><span class="hidden">URL</span>
          <input class="mono" name="url" type="text" inputmode="url" value=${url} placeholder="http://shop.example.com/cart/7?x=1" autocomplete="off" autocapitalize="off" spellcheck=${false} maxlength="16384"
            onPaste=${paste} onInput=${(/** @type {any} */ event) => set({ url: event.currentTarget.value })} />
        </label>
        <button type="button" class="button" onClick=${() => share(onShare)} disabled=${url === ''}><${Icon} name="link" /> Share</button>
      </div>
      <details open=${isOpen} onToggle=${(/** @type {any} */ event) => setOpen(event.currentTarget.open)}>
        <summary>Headers, client and claims</summary>
        <div class="explain-more">
          <div><label class="field">Headers
            <textarea class="mono" name="headers" rows="4" value=${headers} placeholder=${'x-user: 42\ncookie: beta=1'} spellcheck=${false} aria-invalid=${headersProblem ? 'true' : undefined} aria-describedby="headers-problem"
              onInput=${(/** @type {any} */ event) => set({ headers: event.currentTarget.value })}></textarea>
          </label><p class="problem" id="headers-problem">${headersProblem}</p></div>
          <div><label class="field">Claims, as if somebody were signed in
            <textarea class="mono" name="claims" rows="4" value=${claims} placeholder=${'{ "sub": "maria", "team": "blue" }'} spellcheck=${false} aria-invalid=${claimsProblem ? 'true' : undefined} aria-describedby="claims-problem"
              onInput=${(/** @type {any} */ event) => set({ claims: event.currentTarget.value })}></textarea>
          </label><p class="problem" id="claims-problem">${claimsProblem}</p></div>
          <div class="explain-client">
            <label class="field">Client address
              <input class="mono" name="client" value=${client} placeholder="127.0.0.1" autocomplete="off" maxlength="64" onInput=${(/** @type {any} */ event) => set({ client: event.currentTarget.value })} />
            </label>
            <label class="tick"><input type="checkbox" name="trusted" checked=${trusted} onChange=${(/** @type {any} */ event) => set({ trusted: event.currentTarget.checked })} /> From a trusted proxy</label>
          </div>
        </div>
      </details>
    </form>
  `
}
