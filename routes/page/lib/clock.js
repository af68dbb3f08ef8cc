// @ts-check
import { cell, useCell } from './cell.js'

/** The time in whole seconds, for ages on the page. ms since the epoch. */
const now = cell(Math.floor(Date.now() / 1000) * 1000)
setInterval(() => now.set(Math.floor(Date.now() / 1000) * 1000), 1000)

/** The time; the component is drawn again each time it grows by `stepMs`. @param {number} [stepMs] */
export const useNow = (stepMs = 1000) => useCell(now, (value) => value - (value % stepMs))
