import type { AdminClient } from './admin-client.ts'
import type { Plan } from './plan.ts'
import type { Timeline } from './timeline.ts'

/** What every way of rolling gets. */
export interface RollContext {
  readonly plan: Plan
  /** Commands run here: the folder of the plan. */
  readonly folder: string
  readonly timeline: Timeline
  readonly clients: readonly AdminClient[]
  readonly signal: AbortSignal
  /** For the progress line. */
  status(text: string): void
}

/** One way of rolling. */
export interface Roll {
  /** Brings up what the load needs; resolves to the URL that clients call. */
  prepare(): Promise<string>
  /** All rounds. Throws GW_ROLL_FAILED when it cannot go on. */
  run(): Promise<void>
  /** Ends everything that was started; after the load. */
  close(): Promise<void>
}
