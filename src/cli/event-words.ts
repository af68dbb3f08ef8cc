import type { SeenEvent } from './event-stream.ts'
import { ageText } from './figures.ts'
import { cleanText, type Line, type Style } from './styled.ts'

type Facts = Readonly<Record<string, unknown>>

interface Words {
  readonly text: string
  readonly style?: Style | undefined
}

/** Changes of a table that are told one by one. */
const MAX_CHANGES = 8

const word = (value: unknown) => (value === undefined || value === null ? '' : String(value))
const because = (reason: unknown) => (word(reason) === '' ? '' : `: ${word(reason)}`)

function tableWords({ version, cause, changes }: Facts): Words {
  const all = Array.isArray(changes) ? changes.map(String) : []
  const more = all.length > MAX_CHANGES ? `, and ${all.length - MAX_CHANGES} more` : ''
  const said = all.length === 0 ? '' : `: ${all.slice(0, MAX_CHANGES).join(', ')}${more}`
  return { text: `version ${word(version)} in force (${word(cause)})${said}`, style: 'cyan' }
}

const STATE_STYLE: Readonly<Record<string, Style>> = {
  passing: 'green',
  warning: 'yellow',
  critical: 'red',
  maintenance: 'cyan',
  draining: 'cyan',
}

function instanceWords({ kind, service, id, address, version, from, to, reason }: Facts): Words {
  const who = `${word(service)} ${word(address)} (${[id, version].filter(Boolean).map(word).join(', ')})`
  const style = STATE_STYLE[word(to)]
  switch (kind) {
    case 'appeared':
      return { text: `${who} appeared, ${word(to)}${because(reason)}`, style }
    case 'changed':
      return { text: `${who} ${word(from)} → ${word(to)}${because(reason)}`, style }
    case 'idle':
      return { text: `${who} finished its last request`, style: 'dim' }
    case 'closed':
      return { text: `${who} has no connection any more`, style: 'dim' }
    case 'left':
      return { text: `${who} is gone${because(reason)}`, style: 'yellow' }
    default:
      return { text: `${who} ${word(kind)}` }
  }
}

function ejectionWords({ kind, service, instanceKey, reason, forMs }: Facts): Words {
  const who = `${word(service)} ${word(instanceKey)}`
  if (kind === 'returned') return { text: `${who} is back${because(reason)}`, style: 'green' }
  if (kind === 'kept') return { text: `${who} should go, but stays${because(reason)}`, style: 'yellow' }
  const time = typeof forMs === 'number' && forMs > 0 ? ` for ${ageText(forMs)}` : ''
  return { text: `${who} ejected${time}${because(reason)}`, style: 'red' }
}

function registryWords({ registry, state, error }: Facts): Words {
  const style = state === 'live' ? 'green' : state === 'connecting' ? 'yellow' : 'magenta'
  return { text: `${word(registry)} is ${word(state)}${state === 'live' ? '' : because(error)}`, style }
}

function canaryWords({ canary, status, percent, before, by, reason }: Facts): Words {
  const was = (before as { percent?: unknown } | undefined)?.percent
  const share =
    was === undefined || was === percent ? `${word(percent)}%` : `${word(was)}% → ${word(percent)}%`
  const style = status === 'aborted' ? 'red' : status === 'paused' ? 'yellow' : 'cyan'
  return { text: `${word(canary)} ${word(status)} at ${share} by ${word(by)}${because(reason)}`, style }
}

function contractWords({ route, service, version, kind, path, before, after, count, answers }: Facts): Words {
  const who = [service, version].filter(Boolean).map(word).join(' ')
  const what = kind === 'dropped' ? `dropped (was ${word(before)})` : `${word(before)} → ${word(after)}`
  const text = `${who}, route ${word(route)}: ${word(path)} ${what}, ${word(count)} of ${word(answers)} answers`
  return { text, style: 'yellow' }
}

function configurationWords({ state, revision, by, message, reason }: Facts): Words {
  const which = revision === undefined ? '' : ` revision ${word(revision)}`
  if (state === 'taken') return { text: `took${which} by ${word(by)}${because(message)}`, style: 'cyan' }
  if (state === 'rejected' && reason === undefined)
    return { text: `rejected${which} by ${word(by)}${because(message)}`, style: 'red' }
  if (state === 'back') return { text: `the store is back;${which} in force`, style: 'green' }
  return { text: `the store is ${word(state)}${because(reason)};${which} stays`, style: 'magenta' }
}

function overloadWords({ state, level, reason }: Facts): Words {
  if (state === 'end') return { text: 'is over', style: 'green' }
  return { text: `level ${word(level)}${because(reason)}`, style: 'red' }
}

function alertWords({ state, severity, rule, summary }: Facts): Words {
  const style = state === 'resolved' ? 'green' : severity === 'warning' ? 'yellow' : 'red'
  return { text: `${word(state)} ${word(severity)} ${word(rule)}${because(summary)}`, style }
}

function flappingWords({ state, service, address, changes }: Facts): Words {
  const who = `${word(service)} ${word(address)}`
  if (state === 'end') return { text: `${who} no longer flaps`, style: 'green' }
  return { text: `${who} flaps: ${word(changes)} changes`, style: 'red' }
}

/** Of a type that we know nothing about: what reads like a sentence first, then the rest. */
function otherWords(data: Facts): Words {
  const sentences = ['summary', 'text', 'message'] as const
  const told = sentences.map((name) => data[name]).filter((value) => typeof value === 'string')
  const rest = Object.entries(data)
    .filter(([name]) => !sentences.some((one) => one === name))
    .filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value))
    .map(([name, value]) => `${name}=${word(value)}`)
  return { text: [...told, ...rest].join(' ') }
}

const GOOD_OR_BAD: Readonly<Record<string, Style>> = {
  open: 'red',
  'half-open': 'yellow',
  closed: 'green',
  entered: 'red',
  left: 'green',
}
const ofService = ({ kind, service, reason }: Facts): Words => ({
  text: `${word(service)} ${word(kind)}${because(reason)}`,
  style: GOOD_OR_BAD[word(kind)],
})

const WORDS: Readonly<Record<string, (data: Facts) => Words>> = {
  table: tableWords,
  rejected: ({ cause, message }) => ({ text: `${word(cause)}${because(message)}`, style: 'red' }),
  ejection: ejectionWords,
  panic: ofService,
  breaker: ofService,
  registry: registryWords,
  state: ({ state }) => ({
    text: `the gateway is ${word(state)}`,
    style: state === 'ready' ? 'green' : 'yellow',
  }),
  instance: instanceWords,
  overload: overloadWords,
  contract: contractWords,
  canary: canaryWords,
  alert: alertWords,
  configuration: configurationWords,
  flapping: flappingWords,
}

function pad(value: number): string {
  return String(value).padStart(2, '0')
}

/** Local time; with the day unless it is that of `now`. */
export function timeText(at: number, now: number): string {
  const time = new Date(at)
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map(pad).join(':')
  if (time.toDateString() === new Date(now).toDateString()) return clock
  return `${time.getFullYear()}-${pad(time.getMonth() + 1)}-${pad(time.getDate())} ${clock}`
}

/** Time, type and words of an event. Pure. */
export function eventLine({ at, type, data }: SeenEvent, now: number): Line {
  const { text, style } = (WORDS[type] ?? otherWords)(data)
  return [
    { text: `${timeText(at, now)}  `, style: 'dim' },
    { text: `${cleanText(type)} `.padEnd(10), style },
    { text: cleanText(text) },
  ]
}
