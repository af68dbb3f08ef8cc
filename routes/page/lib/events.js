// @ts-check
import { ApiProblem, ask } from './api.js'
import { cell } from './cell.js'
import { sessionCount } from './session.js'

/**
 * @typedef {object} SeenEvent
 * @property {string} key Unique on this page.
 * @property {string} type
 * @property {number} at ms since the epoch.
 * @property {Record<string, any>} data
 */

/** How many are kept on the page. */
const KEPT = 2000
/** Silence longer than this means that the connection is dead: the gateway beats each 15 s. ms. */
const SILENCE_MS = 40_000
const RETRY_MS = [500, 1000, 2000, 4000, 8000]

/** Newest first. */
export const events = cell(/** @type {readonly SeenEvent[]} */ ([]))

/** `off`: not asked for yet, or the sign-in is missing. */
export const stream = cell(/** @type {'off' | 'connecting' | 'live' | 'lost'} */ ('off'))

/** @type {Set<(event: SeenEvent) => void>} */
const listeners = new Set()

/** @param {(event: SeenEvent) => void} listener */
export function onEvent(listener) {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

/** As the gateway gave it: the process and a number, which begins again with each process. `0` = from the first one kept. */
let lastId = '0'
/** @type {SeenEvent[]} */
let waiting = []

function flush() {
  const fresh = waiting.reverse()
  waiting = []
  events.set([...fresh, ...events.get()].slice(0, KEPT))
}

/** @param {SeenEvent} event */
function take(event) {
  // Many arrive at once after a reconnect: one rendering for all of them.
  if (waiting.push(event) === 1) queueMicrotask(flush)
  for (const listener of listeners) listener(event)
}

/** @param {string} block */
function readBlock(block) {
  let [type, data, id] = ['message', '', '']
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':')
    const field = line.slice(0, colon)
    const value = line.slice(colon + 1).trimStart()
    if (field === 'event') type = value
    if (field === 'data') data += value
    if (field === 'id') id = value
  }
  // Also without data: the gateway tells the place in the row before the first event.
  if (id !== '') lastId = id
  if (data === '') return
  const { at, ...rest } = JSON.parse(data)
  take({ key: id, type, at, data: rest })
}

/** @param {AbortSignal} signal @param {() => void} heard */
async function readOnce(signal, heard) {
  const response = await ask('/api/events', {
    signal,
    headers: { accept: 'text/event-stream', 'last-event-id': lastId },
  })
  if (!response.ok || response.body === null) throw new ApiProblem(response.status, 'no events')
  stream.set('live')
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    heard()
    const blocks = (text + value).split('\n\n')
    text = blocks.pop() ?? ''
    for (const block of blocks) readBlock(block)
  }
}

let restart = () => {}

async function follow() {
  for (let failures = 0; ; failures += 1) {
    const abort = new AbortController()
    restart = () => abort.abort()
    let timer = setTimeout(restart, SILENCE_MS)
    const started = Date.now()
    try {
      if (stream.get() === 'off') stream.set('connecting')
      await readOnce(abort.signal, () => {
        clearTimeout(timer)
        timer = setTimeout(restart, SILENCE_MS)
      })
      stream.set('lost')
    } catch (thrown) {
      stream.set(thrown instanceof ApiProblem && thrown.status === 401 ? 'off' : 'lost')
    }
    clearTimeout(timer)
    if (Date.now() - started > 5000) failures = 0
    const isSignedOut = stream.get() === 'off'
    await pause(isSignedOut ? undefined : RETRY_MS[Math.min(failures, RETRY_MS.length - 1)])
  }
}

/** Waits so long (undefined: for ever), or until somebody signs in or the network is back. @param {number} [ms] */
function pause(ms) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      stop()
      removeEventListener('online', end)
      resolve(undefined)
    }
    const timer = ms === undefined ? undefined : setTimeout(end, ms)
    const stop = sessionCount.watch(end)
    addEventListener('online', end)
  })
}

/** Follows what happens in the gateway for as long as the page is open. Call once. */
export function startEvents() {
  sessionCount.watch(() => {
    events.set([])
    lastId = '0'
    restart()
  })
  void follow()
}
