import type {} from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import type { AuditEntry } from '../src/core/audit-view.ts'
import type { FleetView } from '../src/core/fleet-view.ts'
import type { AlertView, HistoryQuery, HistoryView } from '../src/core/monitor-view.ts'
import type { RefusalsView } from '../src/core/refusal-view.ts'
import type { TrafficView } from '../src/core/traffic-view.ts'
import type {
  CanaryView,
  DrainView,
  GatewayEvent,
  HealthVerdict,
  PreviewView,
  ReadinessView,
  ReleaseView,
  RouteView,
  ServiceView,
  TablesView,
  TableVersionView,
  TopologyView,
  ValidationView,
} from '../src/core/views.ts'

export interface ExplainRequest {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly clientIp: string
  /** As if an identity filter had found them; `sub` is who it is. */
  readonly claims?: Readonly<Record<string, unknown>>
  /** As if it came from a trusted proxy. */
  readonly trusted?: boolean
}

export interface PreviewRequest {
  /** As for `validate`. */
  readonly files: Readonly<Record<string, string>>
  /** Files of the gateway that are not named are as if they were not there. */
  readonly isWhole: boolean
  /** Of each kind of change. */
  readonly examples: number
}

/** What a person asks of a release. */
export interface CanaryActRequest {
  readonly name: string
  readonly action:
    | { readonly kind: 'promote' | 'pause' | 'resume' | 'abort' }
    /** Of 10,000. */
    | { readonly kind: 'set'; readonly percent: number; readonly force: boolean }
  readonly by: string
  readonly reason: string
}

/** Status and body as Consul's agent answers. */
export interface AgentAnswer {
  readonly status: number
  readonly body: string
}

/** The embedded registry as the agent endpoints see it. */
export interface EmbeddedAgent {
  register(body: unknown, isReplacing?: boolean): AgentAnswer
  deregister(id: string): AgentAnswer
  maintenance(id: string, reason: string | undefined): AgentAnswer
  report(checkId: string, state: 'passing' | 'warning' | 'critical', output: string): AgentAnswer
  services(): Record<string, unknown>
  checks(): Record<string, unknown>
}

/** Everything the admin side can ask of the gateway; the decorator `gateway` of its server. */
export interface AdminContext {
  readonly version: string
  readiness(): ReadinessView
  routes(): readonly RouteView[]
  canaries(): readonly CanaryView[]
  /** Of all gateways this one decides on releases. */
  decidesCanaries(): boolean
  /** Throws GW_ADMIN_NOT_FOUND, GW_ADMIN_CONFLICT. */
  actOnCanary(request: CanaryActRequest): Promise<ReleaseView>
  services(): readonly ServiceView[]
  topology(): TopologyView
  fleet(): Promise<FleetView>
  /** What another gateway sees; false = it is no report. */
  takeFleetReport(body: unknown): boolean
  /** `instance`: how one of the service is named; undefined = the service as a whole. */
  health(service: string, instance: string | undefined): HealthVerdict
  /** What became of instances and registries. */
  history(query: HistoryQuery): HistoryView
  /** What is wrong by the rules, or was until a short while ago. */
  alerts(): readonly AlertView[]
  tables(): TablesView
  rollback(version: number): Promise<TableVersionView>
  explain(request: ExplainRequest): object
  /** `files`: contents by name relative to the folder of sluice.yaml; what is not named is read from disk. */
  validate(files: Readonly<Record<string, string>>): Promise<ValidationView>
  /** Throws GW_ADMIN_CONFLICT before the first table. */
  preview(request: PreviewRequest): Promise<PreviewView>
  /** `isForced`: whatever `guard.maxChangedPercent` says. */
  reload(
    isForced: boolean,
  ): Promise<{ readonly result: 'applied' | 'unchanged' | 'rejected'; readonly message?: string }>
  /** Throws GW_ADMIN_NOT_FOUND, GW_ADMIN_CONFLICT. */
  drain(request: {
    readonly instance: string
    readonly isUndo: boolean
    readonly reason: string
  }): Promise<DrainView>
  /** What became of copies of requests, and what their answers had otherwise. */
  mirrors(): readonly object[]
  /** False = there is none of this name. */
  resetMirror(name: string): boolean
  /** The shapes of JSON answers that are watched, and what was broken of them. */
  contracts(): readonly object[]
  /** False = nothing is known of this route. */
  forgetContract(route: string): boolean
  traffic(): TrafficView
  /** The last so many. */
  refusals(limit: number): RefusalsView
  tools(): readonly { readonly name: string; readonly title: string; readonly path: string }[]
  /** Real requests that were explained, newest first; undefined = none ever is. */
  requests(): readonly { readonly id: string; readonly requestId: string }[] | undefined
  /** The last so many changes. */
  audit(limit: number): readonly AuditEntry[]
  metrics(): Promise<{ readonly contentType: string; readonly body: string }>
  readonly events: {
    readonly lastId: number
    subscribe(after: number, listener: (event: GatewayEvent) => void): () => void
  }
  /** Throws GW_ADMIN_NOT_FOUND when there is no embedded registry. */
  agent(): EmbeddedAgent
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly gateway: AdminContext
  }
}

/** A group of endpoints. */
export type AdminRoutes = (app: FastifyInstance) => void
