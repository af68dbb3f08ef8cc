// @ts-check
import { useEffect, useId, useRef, useState } from 'preact/hooks'
import { html } from '../lib/html.js'

/** @typedef {import('../lib/html.js').Children} Children */

/**
 * Asks before something is changed. Escape and Cancel leave everything as it is. While `onConfirm` runs it stays, and
 * what that throws is shown in it.
 * @param {object} props
 * @param {string} props.title
 * @param {string} props.action Label of the button.
 * @param {boolean} [props.isDanger]
 * @param {() => Promise<unknown>} props.onConfirm
 * @param {() => void} props.onClose Also after success.
 * @param {Children} [props.children]
 */
export function Confirm({ title, action, isDanger = false, onConfirm, onClose, children }) {
  const id = useId()
  const ref = useRef(/** @type {HTMLDialogElement | null} */ (null))
  const [problem, setProblem] = useState('')
  const [isBusy, setBusy] = useState(false)
  useEffect(() => {
    const before = document.activeElement
    ref.current?.showModal()
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus()
    }
  }, [])
  const confirm = async (/** @type {Event} */ event) => {
    event.preventDefault()
    setBusy(true)
    setProblem('')
    try {
      await onConfirm()
      onClose()
    } catch (thrown) {
      setProblem(thrown instanceof Error ? thrown.message : String(thrown))
      setBusy(false)
    }
  }
  return html`
    <dialog class="dialog" ref=${ref} aria-labelledby=${id} onClose=${onClose}>
      <form onSubmit=${confirm}>
        <h2 id=${id}>${title}</h2>
        ${children}
        <p class="problem" role="alert">${problem}</p>
        <div class="dialog-actions">
          <button type="button" class="button" onClick=${() => ref.current?.close()}>Cancel</button>
          <button type="submit" class=${isDanger ? 'button is-danger' : 'button is-main'} disabled=${isBusy}>${isBusy ? 'Working…' : action}</button>
        </div>
      </form>
    </dialog>
  `
}
