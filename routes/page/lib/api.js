// @ts-check
import { cell } from './cell.js'
import { needsSignIn, sessionCount } from './session.js'

/** The gateway has to answer within this. ms. */
const PATIENCE_MS = 10_000

/** When the gateway last answered, and whether it did so the last time it was asked. `at`: ms since the epoch. */
export const contact = cell({ at: 0, isLost: false, reason: '' })

/** An answer that is not what was asked for; `status` 0 = no answer. */
export class ApiProblem extends Error {
  /**
   * @param {number} status
   * @param {string} message
   * @param {string} [code] Of docs/errors.md.
   */
  constructor(status, message, code = '') {
    super(message)
    this.name = 'ApiProblem'
    this.status = status
    this.code = code
  }
}

/** @param {boolean} isLost @param {string} [reason] */
function tellContact(isLost, reason = '') {
  const before = contact.get()
  if (isLost && before.isLost) return
  contact.set({ at: isLost ? before.at : Date.now(), isLost, reason })
}

/**
 * One request of this session. Throws ApiProblem when there is no answer, or one of 401.
 * @param {string} path
 * @param {RequestInit} [init]
 */
export async function ask(path, init = {}) {
  const session = sessionCount.get()
  let response
  try {
    response = await fetch(path, { ...init, cache: 'no-store', credentials: 'same-origin' })
  } catch (thrown) {
    if (init.signal?.aborted && init.signal.reason?.name !== 'TimeoutError') throw thrown
    tellContact(true, 'the gateway does not answer')
    throw new ApiProblem(0, 'the gateway does not answer')
  }
  tellContact(false)
  if (response.status === 401) {
    // A sign-in may have happened while this one was under way.
    if (sessionCount.get() === session) needsSignIn.set(true)
    throw new ApiProblem(401, 'the admin API wants a sign-in')
  }
  return response
}

/** @param {Response} response */
async function problemOf(response) {
  const body = await response.json().catch(() => ({}))
  const text = body.detail || body.message || body.title || `the gateway answered ${response.status}`
  return new ApiProblem(response.status, String(text), body.code)
}

/**
 * JSON of an endpoint. Throws ApiProblem.
 * @param {string} path
 * @param {RequestInit} [init]
 * @returns {Promise<any>}
 */
export async function askJson(path, init = {}) {
  const response = await ask(path, { signal: AbortSignal.timeout(PATIENCE_MS), ...init })
  if (!response.ok) throw await problemOf(response)
  if (response.status === 204) return undefined
  return await response.json()
}

/**
 * Changes something. Throws ApiProblem.
 * @param {string} path
 * @param {object} [body]
 * @param {'POST' | 'PUT' | 'DELETE'} [method]
 */
export function send(path, body = {}, method = 'POST') {
  return askJson(path, {
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
}
