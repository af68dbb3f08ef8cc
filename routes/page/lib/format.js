// @ts-check
/** Figures and times as text. `–` = not known. */

const NONE = '–'
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const tenths = new Intl.NumberFormat('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 })
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 })
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const day = new Intl.DateTimeFormat('en-GB', { weekday: 'short', day: 'numeric', month: 'short' })
const moment = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' })

/** @typedef {number | null | undefined} Figure */

/** @param {Figure} value */
export const count = (value) =>
  value == null ? NONE : value < 10_000 ? whole.format(value) : compact.format(value)

/** @param {Figure} value Requests per second. */
export function rate(value) {
  if (value == null) return NONE
  if (value === 0) return '0'
  if (value < 0.05) return '<0.1'
  return value < 100 ? tenths.format(value) : count(Math.round(value))
}

/** @param {Figure} ratio 0 to 1. */
export function percent(ratio) {
  if (ratio == null) return NONE
  const value = ratio * 100
  if (value === 0 || value >= 100) return `${whole.format(value)} %`
  if (value < 0.1) return '<0.1 %'
  return `${value < 10 ? tenths.format(value) : whole.format(value)} %`
}

/** @param {Figure} ms */
export function millis(ms) {
  if (ms == null) return NONE
  if (ms === 0) return '0 ms'
  if (ms < 10) return `${tenths.format(ms)} ms`
  return ms < 1000 ? `${whole.format(ms)} ms` : `${tenths.format(ms / 1000)} s`
}

/** A length of time in words, the largest unit and the next: `3 h 12 min`. @param {Figure} ms */
export function span(ms) {
  if (ms == null) return NONE
  const seconds = Math.max(0, Math.floor(ms / 1000))
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60)
    return minutes < 10 && seconds % 60 > 0 ? `${minutes} min ${seconds % 60} s` : `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return minutes % 60 > 0 ? `${hours} h ${minutes % 60} min` : `${hours} h`
  return `${Math.floor(hours / 24)} d`
}

/** Seconds matter in the first minute only. @param {number} ms */
const coarse = (ms) => (ms < 60_000 ? ms : ms - (ms % 60_000))

/** @param {Figure} at ms since the epoch. @param {number} now */
export const ago = (at, now) =>
  at == null || at === 0 ? 'never' : now - at < 1000 ? 'now' : `${span(coarse(now - at))} ago`

/** @param {number} at */
export const timeOfDay = (at) => clock.format(at)
/** @param {number} at */
export const dayOf = (at) => day.format(at)
/** @param {number} at */
export const fullTime = (at) => moment.format(at)

/** @param {number} amount @param {string} one @param {string} [many] */
export const plural = (amount, one, many = `${one}s`) => `${count(amount)} ${amount === 1 ? one : many}`
