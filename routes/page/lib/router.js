// @ts-check
import { cell } from './cell.js'

/**
 * `#/services/shop?instance=x` → view `services`, rest `['shop']`, query `{ instance: 'x' }`.
 * @typedef {object} Place
 * @property {string} view
 * @property {readonly string[]} rest
 * @property {Readonly<Record<string, string>>} query
 */

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** @param {string} hash @returns {Place} */
export function readPlace(hash) {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2)
  const [view = '', ...rest] = path.split('/').map(decode)
  return {
    view,
    rest: rest.filter((part) => part !== ''),
    query: Object.fromEntries(new URLSearchParams(query)),
  }
}

/**
 * The address of a place; empty values of the query are left out.
 * @param {string} view
 * @param {readonly string[]} [rest]
 * @param {Readonly<Record<string, string | undefined>>} [query]
 */
export function href(view, rest = [], query = {}) {
  const path = [view, ...rest].map(encodeURIComponent).join('/')
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '')
  const text = new URLSearchParams(/** @type {[string, string][]} */ (given)).toString()
  return `#/${path}${text === '' ? '' : `?${text}`}`
}

export const place = cell(readPlace(location.hash))

/** @param {string} address Of `href`. @param {{ isReplacing?: boolean }} [options] */
export function go(address, { isReplacing = false } = {}) {
  if (isReplacing) {
    history.replaceState(null, '', address)
    place.set(readPlace(location.hash))
  } else location.hash = address
}

/** Changes the query of the place where we are, without a step in the history. @param {Record<string, string | undefined>} query */
export function goQuery(query) {
  const { view, rest, query: before } = place.get()
  go(href(view, rest, { ...before, ...query }), { isReplacing: true })
}

export function startRouter() {
  addEventListener('hashchange', () => place.set(readPlace(location.hash)))
}
