import { setTimeout as pause } from 'node:timers/promises'
import type { Clock } from '../core/duration.ts'
import { errorText } from '../core/errors.ts'

/** What a departure acts on. */
export interface Leaving {
  /** Marks the instance as draining in the registry; false = nobody could be told. */
  mark(reason: string): Promise<boolean>
  /** From now on clients are asked to leave; they are still served. */
  askToLeave(): void
  /** Stops accepting; resolves when the last request is finished. */
  close(): Promise<void>
  /** Cuts off what is left; how many that were. */
  cutOff(): number
  /** Takes the instance out of the registry. */
  release(limitMs: number): Promise<boolean>
}

export interface DepartureTimes {
  /** Going on serving after the mark, while gateways hear of it. ms. */
  readonly propagationMs: number
  /** For all of it. ms. */
  readonly budgetMs: number
}

/** How it went; times are ms after the beginning. */
export interface DrainReport {
  readonly reason: string
  /** The registry was told. False: gateways learned it from refused connections. */
  readonly isMarked: boolean
  readonly markedMs: number
  /** Serving ended, finishing began. */
  readonly closingMs: number
  readonly totalMs: number
  /** Connections that were cut off at the end of the budget. */
  readonly cutOff: number
  readonly isReleased: boolean
}

/** Of a departure that had nothing to do. */
export function emptyReport(reason: string): DrainReport {
  return { reason, isMarked: false, markedMs: 0, closingMs: 0, totalMs: 0, cutOff: 0, isReleased: true }
}

/** Kept of the budget for the goodbye to the registry. ms. */
const RELEASE_MS = 1000
/** At least this share of the budget is left for finishing. */
const FINISH_SHARE = 0.25

/**
 * The drain contract, in this order: mark, go on serving while the news spread, stop accepting, finish, take out.
 * Ends within the budget whatever hangs. Never rejects.
 */
export async function depart(
  reason: string,
  leaving: Leaving,
  { propagationMs, budgetMs }: DepartureTimes,
  clock: Clock,
): Promise<DrainReport> {
  const begun = clock.monotonic()
  const passed = () => Math.round(clock.monotonic() - begun)
  const left = (until: number) => Math.max(0, until - (clock.monotonic() - begun))
  const reserve = Math.min(RELEASE_MS, budgetMs * FINISH_SHARE)
  const latestClose = budgetMs - reserve - budgetMs * FINISH_SHARE

  leaving.askToLeave()
  const isMarked = await within(leaving.mark(reason), left(latestClose), false)
  const markedMs = passed()
  await pause(Math.min(propagationMs, left(latestClose)))

  const closingMs = passed()
  const isFinished = await within(
    leaving.close().then(() => true),
    left(budgetMs - reserve),
    false,
  )
  const cutOff = isFinished ? 0 : leaving.cutOff()
  const isReleased = await within(leaving.release(left(budgetMs)), left(budgetMs), false)
  return { reason, isMarked, markedMs, closingMs, totalMs: passed(), cutOff, isReleased }
}

/** The value of the promise, or `otherwise` when it takes longer or fails. */
async function within<T>(promise: Promise<T>, limitMs: number, otherwise: T): Promise<T> {
  const abort = new AbortController()
  const late = pause(limitMs, otherwise, { signal: abort.signal }).catch(() => otherwise)
  try {
    return await Promise.race([promise, late])
  } catch {
    return otherwise
  } finally {
    abort.abort()
  }
}

/** One line about a departure. */
export function describeDrain(report: DrainReport): string {
  const { isMarked, markedMs, closingMs, totalMs, cutOff, isReleased } = report
  return [
    isMarked ? `marked after ${markedMs} ms` : 'the registry could not be told',
    `served on until ${closingMs} ms`,
    cutOff === 0 ? 'everything finished' : `${cutOff} connections cut off`,
    isReleased ? `out of the registry after ${totalMs} ms` : `not deregistered: its check will run out`,
  ].join(', ')
}

/** Runs one of the user's functions; what it throws is told, not thrown. */
export async function runHook(
  name: string,
  hook: () => unknown,
  onFailed: (message: string) => void,
): Promise<void> {
  try {
    await hook()
  } catch (thrown) {
    onFailed(`${name} failed: ${errorText(thrown)}`)
  }
}
