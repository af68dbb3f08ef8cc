// @ts-check
/** What counts as healthy on this page, in one place: lists, pictures and figures must agree. */

/** @typedef {import('../../../src/core/views.ts').ServiceView} ServiceView */
/** @typedef {import('../../../src/core/views.ts').InstanceView} InstanceView */
/** @typedef {import('../../../src/core/views.ts').RegistryView} RegistryView */
/** @typedef {'good' | 'warn' | 'bad' | 'idle'} Tone */

export const USE_TEXT = { rotation: 'in rotation', ejected: 'ejected', reserve: 'in reserve', out: 'out' }

/** @param {InstanceView} instance @returns {Tone} */
export function instanceTone({ use, state, flapping }) {
  if (use === 'ejected' || state === 'critical') return 'bad'
  if (use === 'rotation') return state === 'warning' || flapping ? 'warn' : 'good'
  return state === 'draining' || state === 'maintenance' ? 'idle' : 'warn'
}

/** @param {ServiceView} service @returns {Tone} */
export function serviceTone({ isInTable, available, instances, source, isPanic, breaker }) {
  // No request goes there: whatever it is, nobody misses it here.
  if (isInTable === false) return 'idle'
  if (available === 0 || breaker === 'open') return 'bad'
  if (source === 'stale' || source === 'held' || isPanic || breaker === 'half-open') return 'warn'
  return instances.every((one) => instanceTone(one) === 'good' || instanceTone(one) === 'idle')
    ? 'good'
    : 'warn'
}

/** Why a service is not `good`, in words; empty when it is. @param {ServiceView} service */
export function serviceTrouble({ isInTable, available, instances, source, reason, isPanic, breaker }) {
  if (isInTable === false) return 'no route sends here'
  const bad = instances.filter((one) => instanceTone(one) === 'bad' || instanceTone(one) === 'warn').length
  return [
    available === 0 ? (instances.length === 0 ? 'no instances' : 'nothing in rotation') : '',
    breaker === 'open' || breaker === 'half-open' ? `breaker ${breaker}` : '',
    isPanic ? 'panic: ejections are ignored' : '',
    source === 'stale' || source === 'held' || source === 'absent' ? (reason ?? source) : '',
    available > 0 && bad > 0 ? `${bad} of ${instances.length} not well` : '',
  ]
    .filter(Boolean)
    .join(' · ')
}

/** @param {RegistryView} registry @returns {Tone} */
export function registryTone({ status }) {
  if (status.state === 'live') return 'good'
  return status.state === 'failed' ? 'bad' : 'warn'
}

/** @param {string} status Of a release. @returns {Tone} */
export function releaseTone(status) {
  if (status === 'aborted') return 'bad'
  if (status === 'holding' || status === 'paused') return 'warn'
  return status === 'promoted' || status === 'finished' ? 'good' : 'idle'
}

/** @param {string} severity @returns {Tone} */
export const severityTone = (severity) =>
  /crit|error|page/.test(severity) ? 'bad' : severity === 'info' ? 'idle' : 'warn'

const RANK = { bad: 0, warn: 1, idle: 2, good: 3 }
/** The worst first. @param {Tone} a @param {Tone} b */
export const byTone = (a, b) => RANK[a] - RANK[b]

/** @param {string | undefined} version */
export const versionText = (version) => version ?? 'no version'

/** @param {readonly InstanceView[]} instances @returns {readonly (readonly [string, readonly InstanceView[]])[]} */
export function byVersion(instances) {
  /** @type {Map<string, InstanceView[]>} */
  const groups = new Map()
  for (const one of instances) {
    const version = one.version ?? ''
    const group = groups.get(version)
    if (group === undefined) groups.set(version, [one])
    else group.push(one)
  }
  return [...groups].sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }))
}

/** @param {readonly InstanceView[]} instances How many are how well. */
export function countTones(instances) {
  const sums = { good: 0, warn: 0, bad: 0, idle: 0 }
  for (const one of instances) sums[instanceTone(one)] += 1
  return sums
}

/** @param {number} ratio Of errors, 0 to 1. @returns {Tone | undefined} */
export const errorTone = (ratio) => (ratio >= 0.05 ? 'bad' : ratio >= 0.01 ? 'warn' : undefined)

/** @param {string | undefined} state Of an instance, or what became of it. @returns {Tone} */
export function stateTone(state) {
  if (state === 'passing' || state === 'returned' || state === 'appeared') return 'good'
  if (state === 'critical' || state === 'ejected') return 'bad'
  return state === 'warning' ? 'warn' : 'idle'
}

/** Somebody should look. @param {Tone} tone */
export const isTrouble = (tone) => tone === 'bad' || tone === 'warn'
