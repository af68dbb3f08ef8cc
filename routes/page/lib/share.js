// @ts-check

/** What tells elements of a list apart, whatever their place. */
const KEYS = ['key', 'name', 'id']

/** @param {unknown} value */
const isRecord = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)

/** @param {readonly any[]} list @returns {string | undefined} */
function keyOf(list) {
  const first = list[0]
  return isRecord(first) ? KEYS.find((key) => typeof first[key] === 'string') : undefined
}

/** @param {readonly any[]} before @param {readonly any[]} after */
function shareList(before, after) {
  const key = keyOf(after)
  const known = key === undefined ? undefined : new Map(before.map((one) => [one?.[key], one]))
  let isSame = before.length === after.length
  const list = after.map((one, index) => {
    const old = known === undefined ? before[index] : known.get(one?.[/** @type {string} */ (key)])
    const next = share(old, one)
    if (next !== before[index]) isSame = false
    return next
  })
  return isSame ? before : list
}

/**
 * `after`, with every part that equals the same part of `before` being that very object: `===` then tells what changed,
 * and rows whose data did not change are not drawn again.
 * @template T
 * @param {any} before
 * @param {T} after
 * @returns {T}
 */
export function share(before, after) {
  if (Object.is(before, after)) return before
  if (Array.isArray(before) && Array.isArray(after)) return /** @type {any} */ (shareList(before, after))
  if (!isRecord(before) || !isRecord(after)) return after
  const next = /** @type {Record<string, unknown>} */ (after)
  let isSame = true
  for (const key in next) {
    next[key] = share(before[key], next[key])
    if (next[key] !== before[key]) isSame = false
  }
  for (const key in before) if (!(key in next)) isSame = false
  return isSame ? before : after
}
