// @ts-check
import { useEffect, useRef, useState } from 'preact/hooks'
import { html } from '../lib/html.js'
import { signIn } from '../lib/session.js'

/** @param {(value: string) => void} set */
const onInput = (set) => (/** @type {any} */ event) => set(event.currentTarget.value)

/** In place of everything else while the admin API wants a sign-in. */
export function SignIn() {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null))
  const [token, setToken] = useState('')
  const [by, setBy] = useState('')
  const [problem, setProblem] = useState('')
  const [isBusy, setBusy] = useState(false)
  useEffect(() => field.current?.focus(), [])
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault()
    setBusy(true)
    const why = await signIn(token, by.trim())
    if (why === '') return
    setBusy(false)
    setProblem(why)
    field.current?.select()
  }
  return html`
    <main class="sign-in">
      <form class="panel" onSubmit=${submit}>
        <svg class="logo" viewBox="0 0 20 20" aria-hidden="true"><rect width="20" height="20" rx="5" /><path d="M5 4.5v11M15 4.5v11M5 8h10M5 12q2.5-2 5 0t5 0" /></svg>
        <h1>Sign in to Sluice</h1>
        <p class="muted">${location.host} asks for a token of its admin API. A cookie takes its place; the page does not keep it.</p>
        <label class="field">Token
          <input type="password" ref=${field} value=${token} autocomplete="current-password" required aria-invalid=${problem === '' ? undefined : 'true'} aria-describedby="sign-in-problem" onInput=${onInput(setToken)} />
        </label>
        <label class="field">Your name, for the audit
          <input value=${by} autocomplete="username" maxlength="64" onInput=${onInput(setBy)} />
        </label>
        <p class="problem" id="sign-in-problem" role="alert">${problem}</p>
        <button type="submit" class="button is-main" disabled=${isBusy}>${isBusy ? 'Signing in…' : 'Sign in'}</button>
      </form>
    </main>
  `
}
