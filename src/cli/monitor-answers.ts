import { errorText, GatewayError } from '../core/errors.ts'
import type { FleetGateway, FleetView } from '../core/fleet-view.ts'
import type { TopologyView } from '../core/views.ts'
import { type AdminAddress, callAdmin } from './admin-call.ts'
import type { Load } from './figures.ts'

/** The part of `GET /api/traffic` that is shown. */
export interface TrafficAnswer {
  readonly services?: Readonly<Record<string, Load>>
  /** By key. */
  readonly instances?: Readonly<Record<string, Load>>
}

/** The part of `GET /api/fleet` that is shown. */
export interface FleetAnswer extends Pick<FleetView, 'instances' | 'problem'> {
  readonly gateways: readonly Pick<FleetGateway, 'id' | 'name' | 'role' | 'isSelf' | 'isStale' | 'isCut'>[]
}

/** What a gateway knows at one moment. */
export interface MonitorAnswers {
  readonly topology: TopologyView
  /** Absent = this gateway does not measure it. */
  readonly traffic?: TrafficAnswer
  /** Absent = this gateway knows of no other. */
  readonly fleet?: FleetAnswer
  /** Why something that there is could not be had. One line each. */
  readonly failures: readonly string[]
}

interface Optional<T> {
  readonly answer?: T
  readonly failure?: string
}

/** Neither: this gateway has no such endpoint. */
async function optional<T>(target: AdminAddress, path: string): Promise<Optional<T>> {
  try {
    return { answer: await callAdmin<T>(target, path) }
  } catch (thrown) {
    const isAbsent = thrown instanceof GatewayError && thrown.code === 'GW_ADMIN_NOT_FOUND'
    return isAbsent ? {} : { failure: `${path}: ${errorText(thrown)}` }
  }
}

/**
 * Asks a gateway for topology, traffic and fleet. Only the first must be there. Throws GW_ADMIN_UNREACHABLE,
 * GW_ADMIN_UNAUTHORIZED.
 */
export async function askMonitor(
  target: AdminAddress,
  want: { readonly fleet: boolean },
): Promise<MonitorAnswers> {
  const [topology, traffic, fleet] = await Promise.all([
    callAdmin<TopologyView>(target, '/api/topology'),
    optional<TrafficAnswer>(target, '/api/traffic'),
    want.fleet ? optional<FleetAnswer>(target, '/api/fleet') : ({} as Optional<FleetAnswer>),
  ])
  return {
    topology,
    ...(traffic.answer === undefined ? {} : { traffic: traffic.answer }),
    ...(fleet.answer === undefined ? {} : { fleet: fleet.answer }),
    failures: [traffic.failure, fleet.failure].filter((text) => text !== undefined),
  }
}
