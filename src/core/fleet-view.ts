import type { GatewayState, InstanceView } from './views.ts'

/** How one gateway sees an instance. */
export interface SeenInstance {
  /** What it makes of it. */
  readonly use: InstanceView['use']
  readonly reason?: string
  readonly inFlight: number
  /** Requests a second, like the next two over the last seconds; absent = not measured. */
  readonly rps?: number
  /** 0 to 1. */
  readonly errorRatio?: number
  /** ms. */
  readonly p99?: number | null
}

/** What one gateway did for a service over the last seconds. */
export interface SeenService {
  readonly rps: number
  /** 0 to 1. */
  readonly errorRatio: number
  /** ms; null = no request. */
  readonly p50: number | null
  readonly p99: number | null
}

/** What one gateway did for a route over the last seconds. */
export interface SeenRoute {
  readonly rps: number
  /** 0 to 1. */
  readonly errorRatio: number
  /** rps by service. */
  readonly services: Readonly<Record<string, number>>
}

/** What a gateway says of itself and of what it sees. */
export interface FleetReport {
  /** Another one after each start. */
  readonly id: string
  /** For people: host and process. */
  readonly name: string
  /** `gateway`, or `monitor`: it serves no clients. */
  readonly role: 'gateway' | 'monitor'
  /** Where clients reach it; empty = nowhere. */
  readonly address: string
  /** Where its admin side is. */
  readonly admin: string
  readonly version: string
  /** ms since the epoch. */
  readonly startedAt: number
  /** Version and content of its table: gateways with the same configuration and registry have the same id. */
  readonly table: { readonly version: number; readonly id: string } | undefined
  readonly state: GatewayState
  /** 1, 2, 3 …: another one is news. */
  readonly sequence: number
  /** Until the next one. ms. */
  readonly intervalMs: number
  /** Instances it has something to say of, by key: traffic, or out of rotation by its own doing. */
  readonly instances: Readonly<Record<string, SeenInstance>>
  /** By name; only those with traffic. */
  readonly services: Readonly<Record<string, SeenService>>
  /** By name; only those with traffic. */
  readonly routes: Readonly<Record<string, SeenRoute>>
  /** There was more to say than fits. */
  readonly isCut: boolean
}

/** One gateway of the fleet. */
export interface FleetGateway
  extends Omit<FleetReport, 'sequence' | 'intervalMs' | 'instances' | 'services' | 'routes'> {
  /** ms since the epoch; when it was last heard of. */
  readonly seenAt: number
  /** The one that was asked. */
  readonly isSelf: boolean
  /** It has said nothing for three intervals, or took itself out. */
  readonly isStale: boolean
}

/** All gateways that say what they see. */
export interface FleetView {
  readonly at: number
  /** How this gateway hears of others, in words; `alone` = not at all. */
  readonly exchange: string
  /** Why it does not hear of them now. */
  readonly problem?: string
  readonly gateways: readonly FleetGateway[]
  /** By key of the instance: how each gateway sees it. */
  readonly instances: Readonly<Record<string, readonly (SeenInstance & { readonly gateway: string })[]>>
}
