// @ts-check
import { useEffect, useRef, useState } from 'preact/hooks'
import { html } from '../lib/html.js'
import { signIn, token } from '../lib/session.js'

/** In place of everything else while the admin API wants a token. */
export function SignIn() {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null))
  const [value, setValue] = useState('')
  // The one that we have was not taken.
  const wasRefused = token() !== ''
  useEffect(() => field.current?.focus(), [])
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault()
    if (value !== '') signIn(value)
  }
  return html`
    <main class="sign-in">
      <form class="panel" onSubmit=${submit}>
        <svg class="logo" viewBox="0 0 20 20" aria-hidden="true"><rect width="20" height="20" rx="5" /><path d="M5 4.5v11M15 4.5v11M5 8h10M5 12q2.5-2 5 0t5 0" /></svg>
        <h1>Sign in to Sluice</h1>
        <p class="muted">${location.host} asks for a token of its admin API. It is kept in this tab only.</p>
        <label class="field">Token
          <input type="password" ref=${field} value=${value} autocomplete="off" required aria-invalid=${wasRefused ? 'true' : undefined} aria-describedby="sign-in-problem"
            onInput=${(/** @type {any} */ event) => setValue(event.currentTarget.value)} />
        </label>
        <p class="problem" id="sign-in-problem" role="alert">${wasRefused ? 'The gateway refused this token.' : ''}</p>
        <button type="submit" class="button is-main">Sign in</button>
      </form>
    </main>
  `
}
