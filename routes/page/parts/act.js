// @ts-check
import { useState } from 'preact/hooks'
import { useSession } from '../lib/data.js'
import { html } from '../lib/html.js'
import { Confirm } from './dialog.js'
import { tell } from './toast.js'

/** @typedef {import('../lib/html.js').Children} Children */

/** What the gateway keeps of a reason. */
const REASON_LENGTH = 200

/**
 * A button that asks, changes something and tells what came of it. Nothing at all in a session that may only look.
 * @param {object} props
 * @param {string} props.label
 * @param {string} props.title The question.
 * @param {string} [props.action] Label in the dialog. Default: the label.
 * @param {boolean} [props.isDanger]
 * @param {boolean} [props.isQuiet] Danger shows in the dialog only.
 * @param {boolean} [props.isMain]
 * @param {boolean} [props.isSmall]
 * @param {boolean} [props.needsReason] Asks why: others will read it.
 * @param {(reason: string) => Promise<string>} props.onAct Gives the outcome in words; what it throws stays in the dialog.
 * @param {Children} [props.children] What it means, and fields.
 */
export function Act({
  label,
  title,
  action = label,
  isDanger,
  isQuiet,
  isMain,
  isSmall,
  needsReason,
  onAct,
  children,
}) {
  const { canWrite } = useSession()
  const [isAsked, setAsked] = useState(false)
  const [reason, setReason] = useState('')
  if (!canWrite) return null
  const close = () => {
    setAsked(false)
    setReason('')
  }
  const act = async () => tell('good', await onAct(reason.trim()))
  return html`
    <button type="button" class="button ${isSmall ? 'is-small' : ''} ${isDanger && !isQuiet ? 'is-danger' : isMain ? 'is-main' : ''}" onClick=${() => setAsked(true)}>${label}</button>
    ${
      isAsked &&
      html`<${Confirm} title=${title} action=${action} isDanger=${isDanger} onConfirm=${act} onClose=${close}>
        ${children}
        ${
          needsReason &&
          html`<label class="field">Reason, for the history
            <input name="reason" required maxlength=${REASON_LENGTH} value=${reason} autocomplete="off"
              onInput=${(/** @type {any} */ event) => setReason(event.currentTarget.value)} />
          </label>`
        }
      <//>`
    }
  `
}
