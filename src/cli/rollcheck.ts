import { dirname, resolve } from 'node:path'
import { ConfigError, formatProblems } from '../config/problems.ts'
import type { Plan } from '../rollcheck/plan.ts'
import { type PlanFlags, planOfFlags, readPlan } from '../rollcheck/plan-file.ts'
import { exitCodeOf } from '../rollcheck/report.ts'
import { formatReport } from '../rollcheck/report-text.ts'
import { type Progress, runRollcheck } from '../rollcheck/run.ts'
import { type ExitCode, type Terminal, untilInterrupted } from './terminal.ts'

export type RollcheckOptions = PlanFlags & { readonly json?: true }

function progressLine({ elapsedMs, sent, ok, lost, late, inFlight, status }: Progress): string {
  const seconds = (elapsedMs / 1000).toFixed(0)
  return `${seconds} s  ${sent} sent  ${ok} ok  ${lost} lost  ${late} late  ${inFlight} under way  ${status}`
}

/** The flags stand over what the plan says. */
function overridden(plan: Plan, options: RollcheckOptions): Plan {
  const { admin, token } = options
  return {
    ...plan,
    ...(admin.length === 0 ? {} : { admin: [...admin] }),
    ...(token === undefined ? {} : { token }),
  }
}

/**
 * `sluice rollcheck`: 0 nothing lost or duplicated, 1 something was, 2 misuse, unreachable, or a roll that did not
 * come to its end. Throws GW_CLI_MISUSE, GW_CONFIG_UNREADABLE, GW_ADMIN_UNREACHABLE, GW_ROLL_FAILED.
 */
export async function rollcheck(
  file: string | undefined,
  options: RollcheckOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  let plan: Plan
  try {
    plan = file === undefined ? planOfFlags(options) : overridden(readPlan(file, terminal.env), options)
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown
    terminal.err(formatProblems(thrown.problems, { color: terminal.hasColor }))
    return 2
  }
  // Ctrl-C and SIGTERM end the roll and still give the report.
  const interrupted = untilInterrupted()
  const { status } = terminal
  try {
    const report = await runRollcheck({
      plan,
      folder: file === undefined ? process.cwd() : dirname(resolve(file)),
      signal: interrupted.signal,
      ...(options.json === true || status === undefined
        ? {}
        : { onProgress: (progress: Progress) => status(progressLine(progress)) }),
    })
    status?.('')
    terminal.out(options.json === true ? JSON.stringify(report, undefined, 2) : formatReport(report))
    return exitCodeOf(report)
  } finally {
    interrupted.forget()
  }
}
