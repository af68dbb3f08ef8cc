// @ts-check
import { useEffect, useState } from 'preact/hooks'

/**
 * A value that components can watch.
 * @template T
 * @typedef {object} Cell
 * @property {() => T} get
 * @property {(value: T) => void} set
 * @property {(listener: () => void) => () => void} watch The result ends it.
 */

/**
 * @template T
 * @param {T} first
 * @returns {Cell<T>}
 */
export function cell(first) {
  let value = first
  /** @type {Set<() => void>} */
  const listeners = new Set()
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return
      value = next
      for (const listener of [...listeners]) listener()
    },
    watch(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

/**
 * The value of a cell, and a new rendering when what `select` takes of it changes.
 * @template T
 * @template [S=T]
 * @param {Cell<T>} source
 * @param {(value: T) => S} [select] Must give the same value for the same input.
 * @returns {S}
 */
export function useCell(source, select = (value) => /** @type {any} */ (value)) {
  const now = select(source.get())
  const [, draw] = useState(0)
  useEffect(() => {
    let seen = now
    const look = () => {
      const next = select(source.get())
      if (Object.is(next, seen)) return
      seen = next
      draw((count) => count + 1)
    }
    // It may have changed between rendering and this effect.
    look()
    return source.watch(look)
  })
  return now
}
