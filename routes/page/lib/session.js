// @ts-check
import { cell } from './cell.js'

/** Only here and only for this tab: it goes with the tab, and no other origin sees it. */
const KEY = 'sluice-token'

/** True while the admin API wants a token that we do not have. */
export const needsToken = cell(false)

/** Changes with each sign-in and sign-out: whoever holds answers of the API asks again. */
export const sessionCount = cell(0)

export const token = () => sessionStorage.getItem(KEY) ?? ''

/** @param {string} value */
export function signIn(value) {
  sessionStorage.setItem(KEY, value)
  needsToken.set(false)
  sessionCount.set(sessionCount.get() + 1)
}

export function signOut() {
  sessionStorage.removeItem(KEY)
  sessionCount.set(sessionCount.get() + 1)
}
