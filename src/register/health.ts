import { errorText } from '../core/errors.ts'

/** What an instance says of itself. `warning`: usable, with `weight.warning`. */
export type HealthState = 'passing' | 'warning' | 'critical'

/** A state with words for whoever looks at the check. */
export interface HealthReport {
  readonly state: HealthState
  readonly output: string
}

/** Nothing or `true` = passing, `false` = critical. */
export type HealthResult =
  | boolean
  | HealthState
  | { readonly state: HealthState; readonly output?: string }
  | undefined
  // biome-ignore lint/suspicious/noConfusingVoidType: a function that returns nothing is a health function, too.
  | void

/** The user's own check; a throw or a rejection = critical with its message. The signal aborts at the time limit. */
export type HealthFunction = (signal: AbortSignal) => HealthResult | Promise<HealthResult>

/** How long an output may be: more is cut. Characters. */
const MAX_OUTPUT = 512

/** Asks once. Never rejects: what goes wrong is `critical`. */
export async function askHealth(check: HealthFunction, timeoutMs: number): Promise<HealthReport> {
  const abort = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<HealthReport>((resolve) => {
    timer = setTimeout(() => {
      resolve({ state: 'critical', output: `the health function took longer than ${timeoutMs} ms` })
      abort.abort()
    }, timeoutMs)
    timer.unref()
  })
  const asked = (async () => toReport(await check(abort.signal)))().catch(
    (thrown: unknown): HealthReport => ({ state: 'critical', output: errorText(thrown) }),
  )
  const { state, output } = await Promise.race([asked, late])
  clearTimeout(timer)
  return { state, output: output.slice(0, MAX_OUTPUT) }
}

function toReport(result: HealthResult): HealthReport {
  if (typeof result === 'object') return { state: result.state, output: result.output ?? result.state }
  if (typeof result === 'string') return { state: result, output: result }
  return result === false
    ? { state: 'critical', output: 'the health function says no' }
    : { state: 'passing', output: 'passing' }
}
