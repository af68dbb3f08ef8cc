import { parseDuration } from '../core/duration.ts'
import { GatewayError } from '../core/errors.ts'
import type { AdminAddress } from './admin-call.ts'
import { followEvents, readEvents, type SeenEvent } from './event-stream.ts'
import { eventLine } from './event-words.ts'
import { ageText, listOf, nameMatch } from './figures.ts'
import { cleanText, lineText } from './styled.ts'
import { type ExitCode, type Terminal, untilInterrupted } from './terminal.ts'

export interface EventsOptions extends AdminAddress {
  readonly watch?: true
  /** `instance,ejection`. */
  readonly type?: string
  readonly service?: string
  /** `10m`. */
  readonly since?: string
  readonly json?: true
}

/** Events that are meant, by type and service. Throws GW_CLI_MISUSE. */
export function wantedEvents({ type, service }: Pick<EventsOptions, 'type' | 'service'>) {
  const types = type === undefined ? undefined : listOf(type)
  const named = nameMatch(service)
  return ({ type: one, data }: SeenEvent): boolean => {
    if (types !== undefined && !types.includes(one)) return false
    if (named.isAny) return true
    const names = [data['service'], ...(Array.isArray(data['services']) ? data['services'] : [])]
    return names.some((name) => typeof name === 'string' && named.has(name))
  }
}

/** How many events lie between two ids of one process; 0 when that cannot be said. */
export function missedBetween(before: string | undefined, id: string): number {
  const [epoch, number] = id.split('-')
  const [epochBefore, numberBefore] = (before ?? '').split('-')
  return epoch !== epochBefore ? 0 : Math.max(0, Number(number) - Number(numberBefore) - 1)
}

/** Writes the events that are wanted, and what became of the stream. */
class Printer {
  readonly #isWanted: (event: SeenEvent) => boolean
  readonly #sinceMs: number
  readonly #isJson: boolean
  readonly #terminal: Terminal
  #from = 0
  #last: string | undefined
  #awayAt = 0

  constructor(options: EventsOptions, terminal: Terminal) {
    const since = options.since === undefined ? Number.POSITIVE_INFINITY : parseDuration(options.since)
    if (since === undefined) {
      throw new GatewayError('GW_CLI_MISUSE', `--since "${options.since}": write a duration: 90s, 10m, 2h`)
    }
    this.#sinceMs = since
    this.#isWanted = wantedEvents(options)
    this.#isJson = options.json === true
    this.#terminal = terminal
  }

  onOpen = (now: number) => {
    // After an absence everything that was missed is told, however long it was.
    if (this.#last === undefined) this.#from = now - this.#sinceMs
  }

  onEvent = (event: SeenEvent) => {
    const missed = missedBetween(this.#last, event.id)
    if (missed > 0) this.#say(`${missed} events are not remembered any more`)
    this.#last = event.id
    if (event.at < this.#from || !this.#isWanted(event)) return
    this.#terminal.out(
      this.#isJson ? JSON.stringify(event) : lineText(eventLine(event, Date.now()), this.#terminal.hasColor),
    )
  }

  onAway = (reason: string) => {
    this.#awayAt = performance.now()
    this.#say(`the gateway is away (${reason}); trying again`)
  }

  onBack = () => this.#say(`the gateway is back after ${ageText(performance.now() - this.#awayAt)}`)

  #say(text: string): void {
    this.#terminal.err(
      lineText([{ text: `-- ${cleanText(text)}`, style: 'yellow' }], this.#terminal.hasColor),
    )
  }
}

/**
 * `sluice events`: what the gateway remembers; with --watch what happens from now on, until Ctrl-C. 0; throws GW_CLI_MISUSE,
 * GW_ADMIN_UNREACHABLE, GW_ADMIN_UNAUTHORIZED.
 */
export async function events(options: EventsOptions, terminal: Terminal): Promise<ExitCode> {
  const printer = new Printer(options, terminal)
  const { signal, forget } = untilInterrupted()
  const { onOpen, onEvent, onAway, onBack } = printer
  try {
    if (options.watch === true) {
      const after = options.since === undefined ? undefined : '0'
      await followEvents(options, { signal, after, onOpen, onEvent, onAway, onBack })
    } else await readEvents(options, { signal, after: '0', follow: false, onOpen, onEvent })
    return 0
  } catch (thrown) {
    if (signal.aborted) return 0
    throw thrown
  } finally {
    forget()
  }
}
