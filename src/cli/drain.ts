import { parseDuration, sleep } from '../core/duration.ts'
import { GatewayError } from '../core/errors.ts'
import type { DrainView, InstanceView, ServiceView } from '../core/views.ts'
import { callAdmin } from './admin-call.ts'
import type { ExitCode, Terminal } from './terminal.ts'

export interface DrainOptions {
  readonly instance: string
  readonly undo?: true
  readonly reason: string
  /** How long to wait until nothing is under way there. */
  readonly wait?: string
  /** All gateways that should know. */
  readonly admin: readonly string[]
  readonly token?: string
  readonly json?: true
}

const LOOK_MS = 200

/** Requests and tunnels that the gateway has under way to the instance. */
async function underWay(admin: string, token: string | undefined, key: string): Promise<number> {
  const { services } = await callAdmin<{ services: readonly ServiceView[] }>(
    { admin, token },
    '/api/services',
  )
  const all = services.flatMap(({ instances }): readonly InstanceView[] => instances)
  return all.filter((one) => one.key === key).reduce((sum, { inFlight }) => sum + inFlight, 0)
}

/**
 * `sluice drain`: takes an instance out of rotation, or back. 0 done; 1 not known there, or not idle in time; throws
 * GW_ADMIN_UNREACHABLE, GW_ADMIN_UNAUTHORIZED, GW_CLI_MISUSE.
 */
export async function drain(options: DrainOptions, terminal: Terminal): Promise<ExitCode> {
  const { instance, token, reason, undo } = options
  const waitMs = options.wait === undefined ? 0 : parseDuration(options.wait)
  if (waitMs === undefined) {
    throw new GatewayError('GW_CLI_MISUSE', `--wait "${options.wait}": write a duration: 60s, 2m`)
  }
  const path = `/api/instances/${encodeURIComponent(instance)}/drain`
  const told: (DrainView & { admin: string })[] = []
  for (const admin of options.admin) {
    try {
      told.push({
        admin,
        ...(await callAdmin<DrainView>({ admin, token }, path, { undo: undo === true, reason })),
      })
    } catch (thrown) {
      if (!(thrown instanceof GatewayError) || thrown.code !== 'GW_ADMIN_NOT_FOUND') throw thrown
      terminal.err(`sluice: ${thrown.message}`)
      return 1
    }
  }
  if (options.json !== true) {
    for (const { admin, instance: key, state, detail } of told)
      terminal.out(`${admin}: ${key} is ${state}; ${detail}`)
  }
  const left = undo === true || waitMs === 0 ? 0 : await untilIdle(told, options, waitMs, terminal)
  if (options.json === true) terminal.out(JSON.stringify({ gateways: told, underWay: left }, undefined, 2))
  return left === 0 ? 0 : 1
}

/** Looks until nothing is under way any more; how much still was at the end. */
async function untilIdle(
  told: readonly (DrainView & { admin: string })[],
  { token, json }: DrainOptions,
  waitMs: number,
  terminal: Terminal,
): Promise<number> {
  const end = performance.now() + waitMs
  let shown = -1
  for (;;) {
    const counts = await Promise.all(told.map(({ admin, instance }) => underWay(admin, token, instance)))
    const left = counts.reduce((sum, count) => sum + count, 0)
    if (left !== shown && json !== true) {
      terminal.out(left === 0 ? 'nothing is under way there any more' : `${left} under way`)
    }
    shown = left
    if (left === 0 || performance.now() >= end) return left
    await sleep(LOOK_MS)
  }
}
