// @ts-check
import { cell } from './cell.js'

const KEY = 'sluice-theme'

/** @typedef {'system' | 'light' | 'dark'} Theme */

/** @returns {Theme} */
function remembered() {
  const value = localStorage.getItem(KEY)
  return value === 'light' || value === 'dark' ? value : 'system'
}

export const theme = cell(remembered())

/** @param {Theme} value */
export function setTheme(value) {
  if (value === 'system') localStorage.removeItem(KEY)
  else localStorage.setItem(KEY, value)
  theme.set(value)
  showTheme()
}

export function showTheme() {
  const value = theme.get()
  const root = document.documentElement
  if (value === 'system') root.removeAttribute('data-theme')
  else root.setAttribute('data-theme', value)
}
