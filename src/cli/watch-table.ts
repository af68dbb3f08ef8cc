import { sleep } from '../core/duration.ts'
import { errorText } from '../core/errors.ts'
import type { AdminAddress } from './admin-call.ts'
import { followEvents } from './event-stream.ts'
import type { Finding } from './findings.ts'
import type { MonitorAnswers } from './monitor-answers.ts'
import { bodyLines, exitCodeOf, gatewayNotes, headLine, type MonitorTable } from './monitor-table.ts'
import { cutLine, type Line, lineText } from './styled.ts'
import type { ExitCode, Screen, Terminal } from './terminal.ts'

/** What is watched. */
export interface Watched<T extends { readonly findings: readonly Finding[] }> {
  readonly verb: string
  readonly target: AdminAddress
  readonly isJson: boolean
  readonly isStrict: boolean
  ask(): Promise<MonitorAnswers>
  /** `now`: by the clock of the gateway. */
  table(answers: MonitorAnswers, now: number): MonitorTable<T>
  /** How often it is asked without an event. ms, default 2000. */
  readonly refreshMs?: number
  /** One line of JSON. */
  json(answers: MonitorAnswers): string
}

/** Without an event the gateway is asked so often. ms. */
const REFRESH_MS = 2000
/** However many events there are, it is not asked more often. ms. */
const LEAST_MS = 200
const TICK_MS = 1000

/** A wait that can be ended early, also before it begins. */
class Wake {
  #abort = new AbortController()

  wake = () => this.#abort.abort()

  async wait(ms: number, signal: AbortSignal): Promise<void> {
    await sleep(ms, AbortSignal.any([signal, this.#abort.signal]))
    this.#abort = new AbortController()
  }
}

/** Draws frames one over the other; `close` gives the cursor back. */
class Drawing {
  readonly #screen: Screen
  readonly #stop = () => {
    this.#screen.write('\x1b[?25h')
    process.kill(process.pid, 'SIGSTOP')
  }
  readonly #resume = () => this.#screen.write('\x1b[?25l\x1b[2J')

  constructor(screen: Screen) {
    this.#screen = screen
    this.#resume()
    // Ctrl-Z: the shell needs its cursor, too.
    process.on('SIGTSTP', this.#stop).on('SIGCONT', this.#resume)
  }

  draw(lines: readonly string[]): void {
    // The line is emptied first: after a full line the cursor stands on its last character.
    this.#screen.write(`\x1b[H${lines.map((line) => `\x1b[2K${line}`).join('\r\n')}\x1b[J`)
  }

  close(): void {
    process.off('SIGTSTP', this.#stop).off('SIGCONT', this.#resume)
    this.#screen.write('\x1b[?25h\r\n')
  }
}

/** The whole picture: heading, what is not well with the gateway, table. */
function frame<T extends { readonly findings: readonly Finding[] }>(
  { verb, target, table }: Watched<T>,
  state: { readonly answers: MonitorAnswers; readonly silentMs: number; readonly away: string | undefined },
  size: { readonly width: number; readonly height: number },
): Line[] {
  const { answers, silentMs, away } = state
  const now = answers.topology.at + silentMs
  const reach = { admin: target.admin, silentMs, ...(away === undefined ? {} : { away }) }
  const notes = gatewayNotes(answers, now).slice(0, Math.max(1, Math.floor(size.height / 3)))
  const room = size.height - 1 - notes.length
  return [
    headLine(verb, answers.topology, reach, Date.now()),
    ...notes,
    ...bodyLines(table(answers, now), { width: size.width, height: room }),
  ]
    .slice(0, size.height)
    .map((line) => cutLine(line, size.width))
}

const UNBOUND = { width: Number.POSITIVE_INFINITY, height: Number.POSITIVE_INFINITY }

/**
 * Shows a table and keeps it up to date until the signal aborts: drawn in place on a screen, else frame after frame. Resolves
 * to the exit code of the last answer, 2 when the gateway is away at the end. Throws as `ask` does while it has never
 * answered.
 */
export async function watchTable<T extends { readonly findings: readonly Finding[] }>(
  watched: Watched<T>,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  let answers = await watched.ask()
  let answeredAt = performance.now()
  let away: string | undefined
  const { isJson, refreshMs = REFRESH_MS } = watched
  const screen = isJson ? undefined : terminal.screen
  const drawing = screen === undefined ? undefined : new Drawing(screen)
  const lines = () => {
    const state = { answers, silentMs: performance.now() - answeredAt, away }
    const size = screen === undefined ? UNBOUND : { width: screen.columns(), height: screen.rows() }
    return frame(watched, state, size).map((line) => lineText(line, terminal.hasColor))
  }
  const show = () => {
    if (drawing !== undefined) drawing.draw(lines())
    else if (!isJson) terminal.out(`${lines().join('\n')}\n`)
    else if (away === undefined) terminal.out(watched.json(answers))
  }
  const wake = new Wake()
  const ended = new AbortController()
  // Without the stream it is asked every 2 s all the same.
  const following = followEvents(watched.target, {
    signal: AbortSignal.any([signal, ended.signal]),
    onOpen: wake.wake,
    onEvent: wake.wake,
  }).catch(() => {})
  const tick = drawing === undefined ? undefined : setInterval(show, TICK_MS)
  const stopResize = screen?.onResize(show)
  try {
    while (!signal.aborted) {
      show()
      await sleep(LEAST_MS, signal)
      await wake.wait(refreshMs - LEAST_MS, signal)
      if (signal.aborted) break
      try {
        answers = await watched.ask()
        answeredAt = performance.now()
        away = undefined
      } catch (thrown) {
        if (isJson && away === undefined) terminal.err(`sluice: ${errorText(thrown)}; trying again`)
        away = errorText(thrown)
      }
    }
    return away === undefined ? exitCodeOf(watched.table(answers, answers.topology.at), watched.isStrict) : 2
  } finally {
    clearInterval(tick)
    stopResize?.()
    drawing?.close()
    ended.abort()
    await following
  }
}
