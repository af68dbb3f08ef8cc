import { randomBytes } from 'node:crypto'
import { sleep } from '../core/duration.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import { AdminClient } from './admin-client.ts'
import { compareLedger, type LedgerFindings, readLedger } from './ledger.ts'
import { Load, type LoadResult } from './load.ts'
import type { Plan } from './plan.ts'
import { createReport, type Report } from './report.ts'
import type { Roll, RollContext } from './roll.ts'
import { GatewayRoll } from './roll-gateways.ts'
import { InstanceRoll } from './roll-instances.ts'
import { RestartRoll } from './roll-restart.ts'
import { Timeline } from './timeline.ts'

/** How a run stands, for a progress line. */
export interface Progress extends ReturnType<Load['progress']> {
  readonly status: string
  readonly elapsedMs: number
}

export interface RunOptions {
  readonly plan: Plan
  /** Commands run here, and the ledger's globs start here. */
  readonly folder: string
  /** Ends the roll and the load early; the report says so. */
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

const TICK_MS = 50
const PROGRESS_MS = 250

function createRoll(context: RollContext): Roll {
  const { gateways, service = '', start, restart } = context.plan.roll
  if (gateways !== undefined) return new GatewayRoll(context, gateways)
  if (start !== undefined) return new InstanceRoll(context, service, start)
  return new RestartRoll(context, service, restart)
}

async function settleLedger(
  plan: Plan,
  folder: string,
  result: LoadResult,
): Promise<LedgerFindings | undefined> {
  if (plan.ledger === undefined) return undefined
  const patterns = typeof plan.ledger === 'string' ? [plan.ledger] : plan.ledger
  const { files, times } = await readLedger(patterns, folder)
  if (files === 0 && result.writes.length > 0) {
    throw new GatewayError('GW_ROLL_FAILED', `no file matches ledger ${patterns.join(', ')}`)
  }
  return compareLedger(result.writes, times)
}

/** The load, from its first request to its last, around the roll. */
async function loadWhile(
  roll: Roll,
  load: Load,
  plan: Plan,
  signal: AbortSignal,
): Promise<{ result: LoadResult; failure?: string }> {
  const { before, after, count = 0, duration = 0, maxDuration } = plan.load
  const begun = performance.now()
  load.start()
  await sleep(before, signal)
  let failure: string | undefined
  try {
    await roll.run()
    await sleep(after, signal)
    const elapsed = () => performance.now() - begun
    while (!signal.aborted && (elapsed() < duration || load.progress().sent < count)) {
      if (elapsed() > maxDuration) break
      await sleep(TICK_MS, signal)
    }
  } catch (thrown) {
    if (!(thrown instanceof GatewayError)) throw thrown
    failure = errorText(thrown)
  }
  if (signal.aborted) failure ??= 'interrupted'
  if (performance.now() - begun > maxDuration)
    failure ??= `the load ended after ${maxDuration} ms (maxDuration)`
  const result = await load.stop()
  return { result, ...(failure === undefined ? {} : { failure }) }
}

/**
 * Rolls what the plan says under its load, and reports. Throws GW_ADMIN_UNREACHABLE and GW_ROLL_FAILED for what
 * goes wrong before the first request; later the report has it.
 */
export async function runRollcheck(options: RunOptions): Promise<Report> {
  const { plan, folder, onProgress } = options
  const signal = options.signal ?? new AbortController().signal
  const timeline = new Timeline()
  const clients = plan.admin.map((url) => new AdminClient(url, plan.token))
  let status = ''
  const roll = createRoll({
    plan,
    folder,
    timeline,
    clients,
    signal,
    status: (text) => {
      status = text
    },
  })
  const begun = performance.now()
  let load: Load | undefined
  const none = { sent: 0, ok: 0, lost: 0, late: 0, inFlight: 0 }
  const show = setInterval(() => {
    onProgress?.({ ...(load?.progress() ?? none), status, elapsedMs: performance.now() - begun })
  }, PROGRESS_MS)
  try {
    const target = await roll.prepare()
    load = new Load({ spec: plan.load, target, runId: `roll-${randomBytes(4).toString('hex')}` })
    const { result, failure } = await loadWhile(roll, load, plan, signal)
    // As it was during the load: what ends afterwards is no part of the roll.
    const lives = structuredClone(timeline.lives())
    await roll.close()
    return createReport({
      plan,
      target,
      result,
      lives,
      failure,
      ledger: await settleLedger(plan, folder, result),
    })
  } finally {
    clearInterval(show)
    await roll.close()
    await Promise.all(clients.map((client) => client.close()))
  }
}
