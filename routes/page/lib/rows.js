// @ts-check
/** Orders of rows. */

/** @template R @param {(row: R) => string} of @returns {(a: R, b: R) => number} */
export const byText = (of) => (a, b) => of(a).localeCompare(of(b), 'en', { numeric: true })

/** Unknown ones are the least. @template R @param {(row: R) => number | null | undefined} of @returns {(a: R, b: R) => number} */
export const byFigure = (of) => (a, b) => (of(a) ?? -1) - (of(b) ?? -1)

/** All values once, in order. @param {readonly string[]} values */
export const distinct = (values) =>
  [...new Set(values)].filter(Boolean).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
