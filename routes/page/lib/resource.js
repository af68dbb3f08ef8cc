// @ts-check
import { useEffect } from 'preact/hooks'
import { ApiProblem, askJson } from './api.js'
import { cell, useCell } from './cell.js'
import { onEvent } from './events.js'
import { sessionCount } from './session.js'
import { share } from './share.js'

/**
 * What is known of one endpoint. `missing`: this gateway does not have it. `failed`: it answered with an error, or not at
 * all; `data` is then what it said before.
 * @template T
 * @typedef {object} Known
 * @property {'loading' | 'ready' | 'missing' | 'failed'} state
 * @property {T | undefined} data
 * @property {number} at When `data` came. ms since the epoch.
 * @property {string} problem
 */

/**
 * @typedef {object} Wish
 * @property {number} [everyMs] 0 = only when an event says so. Default 5000.
 * @property {readonly string[]} [on] Types of events after which it is asked again at once; `*` = all.
 */

/** Events come in crowds; ask once for all of them. ms. */
const DEBOUNCE_MS = 120
/** An endpoint that is not there may come with an update of the gateway. ms. */
const MISSING_MS = 60_000
/** Large answers are asked for less often: this many times what fetching and reading the last one took. */
const COST_FACTOR = 20

/** @type {Known<any>} */
const NOTHING = Object.freeze({ state: 'loading', data: undefined, at: 0, problem: '' })

/** @type {Map<string, ReturnType<typeof createResource>>} */
const resources = new Map()

/** @param {string} path */
function createResource(path) {
  const known = cell(NOTHING)
  /** @type {Set<Wish>} */
  const wishes = new Set()
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer
  let isAsking = false
  let isAgain = false
  let cost = 0

  /** @param {number} ms */
  function schedule(ms) {
    clearTimeout(timer)
    timer = wishes.size === 0 || document.hidden ? undefined : setTimeout(refresh, ms)
  }

  function nextMs() {
    if (known.get().state === 'missing') return MISSING_MS
    const wanted = [...wishes].map(({ everyMs = 5000 }) => everyMs).filter((ms) => ms > 0)
    return wanted.length === 0 ? MISSING_MS : Math.max(Math.min(...wanted), cost * COST_FACTOR)
  }

  async function refresh() {
    if (isAsking) {
      isAgain = true
      return
    }
    isAsking = true
    clearTimeout(timer)
    const before = known.get()
    try {
      const began = performance.now()
      const data = share(before.data, await askJson(path))
      cost = performance.now() - began
      known.set({ state: 'ready', data, at: Date.now(), problem: '' })
    } catch (thrown) {
      known.set(failure(before, thrown))
    }
    isAsking = false
    const again = isAgain
    isAgain = false
    schedule(again ? DEBOUNCE_MS : nextMs())
  }

  onEvent(({ type }) => {
    if ([...wishes].some(({ on = [] }) => on.includes(type) || on.includes('*'))) schedule(DEBOUNCE_MS)
  })
  sessionCount.watch(() => {
    known.set(NOTHING)
    schedule(0)
  })
  document.addEventListener('visibilitychange', () => schedule(0))

  return {
    known,
    refresh,
    /** @param {Wish} wish */
    use(wish) {
      const isFirst = wishes.size === 0
      wishes.add(wish)
      if (isFirst) schedule(0)
      return () => {
        wishes.delete(wish)
        if (wishes.size === 0) clearTimeout(timer)
      }
    },
  }
}

/** @param {Known<any>} before @param {unknown} thrown @returns {Known<any>} */
function failure(before, thrown) {
  const problem = thrown instanceof Error ? thrown.message : String(thrown)
  const status = thrown instanceof ApiProblem ? thrown.status : -1
  if (status === 404) return { ...before, state: 'missing', data: undefined, problem }
  if (status === 401) return { ...before, state: before.data === undefined ? 'loading' : before.state }
  return { ...before, state: 'failed', problem }
}

/** @param {string} path */
export function resource(path) {
  let one = resources.get(path)
  if (one === undefined) {
    one = createResource(path)
    resources.set(path, one)
  }
  return one
}

/** Asks again now, for instance after a change. @param {...string} paths */
export function refresh(...paths) {
  for (const path of paths) void resources.get(path)?.refresh()
}

/**
 * What an endpoint says, kept fresh while the component is there. Several components share one answer.
 * @template T
 * @param {string} path
 * @param {Wish} [wish]
 * @returns {Known<T>}
 */
export function useResource(path, { everyMs = 5000, on = [] } = {}) {
  const one = resource(path)
  const types = on.join()
  useEffect(() => one.use({ everyMs, on: types.split(',') }), [one, everyMs, types])
  return useCell(one.known)
}
