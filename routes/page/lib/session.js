// @ts-check
import { cell } from './cell.js'

/** True while the admin API wants a sign-in. */
export const needsSignIn = cell(false)

/** Changes with each sign-in and sign-out: whoever holds answers of the API forgets them and asks again. */
export const sessionCount = cell(0)

/**
 * Signs in: the gateway answers with a cookie that no script can read, so the token stays nowhere on the page.
 * @param {string} token
 * @param {string} by Who it is, for the audit; empty = not told.
 * @returns {Promise<string>} Why not; empty = it is done.
 */
export async function signIn(token, by) {
  try {
    const response = await fetch('/api/session', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token, by }),
    })
    if (response.status === 401) return 'The gateway refused this token.'
    if (!response.ok) return `The gateway answered ${response.status}.`
  } catch {
    return 'The gateway does not answer.'
  }
  needsSignIn.set(false)
  sessionCount.set(sessionCount.get() + 1)
  return ''
}

export async function signOut() {
  await fetch('/api/session', { method: 'DELETE' }).catch(() => {})
  needsSignIn.set(true)
  sessionCount.set(sessionCount.get() + 1)
}
