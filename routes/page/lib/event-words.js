// @ts-check
import { plural, span } from './format.js'
import { releaseTone, severityTone, stateTone } from './health.js'

/** @typedef {import('./events.js').SeenEvent} SeenEvent */
/** @typedef {import('./health.js').Tone} Tone */
/** What an event says: `subject` is a service where there is one. @typedef {{ tone: Tone, subject: string, instance?: string, text: string }} EventText */

/** What an event is about, by type. @type {Readonly<Record<string, (data: Record<string, any>) => EventText>>} */
const TELL = {
  table: ({ version, cause, changes = [] }) => ({
    tone: 'idle',
    subject: '',
    text: `Table ${version} is in force: ${cause}${changes.length > 0 ? ` (${plural(changes.length, 'change')})` : ''}`,
  }),
  rejected: ({ cause, message }) => ({
    tone: 'bad',
    subject: '',
    text: `A table was not taken: ${cause}: ${message}`,
  }),
  ejection: ({ kind, service, instanceKey, reason, forMs }) => ({
    tone: kind === 'returned' ? 'good' : kind === 'kept' ? 'warn' : 'bad',
    subject: service,
    instance: instanceKey,
    text:
      kind === 'returned'
        ? `back in rotation: ${reason}`
        : kind === 'kept'
          ? `kept although it should be ejected: ${reason}`
          : `ejected${forMs > 0 ? ` for ${span(forMs)}` : ''}: ${reason}`,
  }),
  panic: ({ kind, service, reason }) => ({
    tone: kind === 'entered' ? 'bad' : 'good',
    subject: service,
    text: `${kind === 'entered' ? 'too few in rotation, ejections are ignored' : 'enough in rotation again'}: ${reason}`,
  }),
  breaker: ({ kind, service, reason }) => ({
    tone: kind === 'open' ? 'bad' : kind === 'closed' ? 'good' : 'warn',
    subject: service,
    text: `breaker ${kind}: ${reason}`,
  }),
  registry: ({ registry, state, error }) => ({
    tone: state === 'live' ? 'good' : state === 'failed' ? 'bad' : 'warn',
    subject: '',
    text: `Registry ${registry} is ${state}${error ? `: ${error}` : ''}`,
  }),
  state: ({ state }) => ({
    tone: state === 'ready' ? 'good' : 'warn',
    subject: '',
    text: `The gateway is ${state}`,
  }),
  instance: ({ kind, service, key, from, to, version }) => ({
    tone: stateTone(kind === 'changed' || kind === 'appeared' ? to : kind),
    subject: service,
    instance: key,
    text: `${instanceText(kind, from, to)}${version ? ` · version ${version}` : ''}`,
  }),
  canary: ({ canary, status, percent, by, reason }) => ({
    tone: releaseTone(status),
    subject: '',
    text: `Release ${canary}: ${status} at ${percent} %, by ${by}: ${reason}`,
  }),
  alert: ({ rule, state, severity, service, registry, instance, summary }) => ({
    tone: state === 'resolved' ? 'good' : severityTone(severity),
    subject: service ?? '',
    instance,
    text: `${service ? '' : `Registry ${registry}: `}${rule} ${state === 'resolved' ? 'is over' : 'fires'}: ${summary}`,
  }),
  flapping: ({ service, key, changes, state }) => ({
    tone: state === 'begin' ? 'warn' : 'good',
    subject: service,
    instance: key,
    text: state === 'begin' ? `flaps: ${plural(changes, 'change')}` : 'no longer flaps',
  }),
  overload: ({ state, level, reason }) => ({
    tone: state === 'end' ? 'good' : 'bad',
    subject: '',
    text:
      state === 'end' ? 'Overload is over' : `Overloaded (${reason}): level ${level}, requests are refused`,
  }),
}

/** @param {string} kind @param {string} from @param {string} to */
function instanceText(kind, from, to) {
  if (kind === 'appeared') return `appeared, ${to}`
  if (kind === 'changed') return `${from} → ${to}`
  if (kind === 'idle') return 'its last request is finished'
  if (kind === 'closed') return 'all connections to it are closed'
  return kind === 'left' ? 'has left' : kind
}

/** An event in words; of a type that this page does not know, its data. @param {SeenEvent} event @returns {EventText} */
export function tellEvent({ type, data }) {
  try {
    const told = TELL[type]?.(data)
    if (told !== undefined) return told
  } catch {
    // Another gateway, other data: shown as they are.
  }
  const subject = typeof data['service'] === 'string' ? data['service'] : ''
  const { service: _, ...rest } = data
  return {
    tone: 'idle',
    subject,
    text: Object.entries(rest)
      .map(([key, value]) => `${key}: ${typeof value === 'string' ? value : JSON.stringify(value)}`)
      .join(', '),
  }
}
