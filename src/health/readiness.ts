import type { ConfigurationView } from '../core/stored-files.ts'
import type { RegistryState } from '../core/types.ts'
import type { GatewayState, OverloadView, ReadinessView, RegistryView } from '../core/views.ts'
import type { Table } from '../routing/table.ts'

export interface ReadinessInput {
  readonly state: GatewayState
  readonly table: Table | undefined
  readonly registries: readonly RegistryView[]
  readonly registry: RegistryState
  /** A snapshot from disk stands in for registries that have not answered yet. */
  readonly hasSnapshot: boolean
  readonly rejection: { readonly cause: string; readonly message: string } | undefined
  /** The static part of the files differs from the one that runs. */
  readonly needsRestart: boolean
  readonly overload: OverloadView
  /** Configuration from a store; undefined = there is none. */
  readonly configuration?: (ConfigurationView & { readonly isRequired: boolean }) | undefined
}

function registryWarning({ name, status }: RegistryView): string | undefined {
  if (status.state === 'live') return undefined
  const error = status.lastError === undefined ? '' : `: ${status.lastError.message}`
  return `registry ${name} is ${status.state}${error}`
}

function configurationWarning({ store, state, reason, revision }: ConfigurationView): string | undefined {
  // A revision that was rejected is told as the rejected change that it is.
  if (state === 'live' || (state === 'rejected' && reason === undefined)) return undefined
  const serving =
    revision === undefined ? 'routes of files alone serve' : `revision ${revision.revision} serves on`
  return `configuration store ${store} is ${state}${reason === undefined ? '' : `: ${reason}`}; ${serving}`
}

const SHORT_OF: Readonly<Record<NonNullable<OverloadView['reason']>, string>> = {
  event_loop: 'time: the event loop is late',
  heap: 'memory: the heap is nearly full',
  rss: 'memory: the process is too large',
  requests: 'places: overload.maxRequests are in flight',
}

function overloadWarning({ level, reason, shed }: OverloadView): string {
  const who = level === 1 ? 'bots and requests without credentials' : 'all but class health'
  return `short of ${SHORT_OF[reason ?? 'event_loop']}; ${who} are refused in part or all (${shed} so far)`
}

/**
 * Ready = a table is in force and at least one registry has answered (or a snapshot stands in, or there is no
 * registry at all), and the gateway is not on its way out. What is stale or rejected meanwhile is a warning: a
 * gateway that still serves must not be taken out because a registry is down.
 */
export function readiness(input: ReadinessInput): ReadinessView {
  const { state, table, registries, rejection } = input
  const warnings = registries.map(registryWarning).filter((text) => text !== undefined)
  if (rejection !== undefined)
    warnings.push(`a change (${rejection.cause}) was rejected: ${rejection.message}`)
  const stored = input.configuration === undefined ? undefined : configurationWarning(input.configuration)
  if (stored !== undefined) warnings.push(stored)
  if (input.needsRestart) warnings.push('the static part of the configuration changed: restart to apply it')
  if (input.overload.level > 0) warnings.push(overloadWarning(input.overload))
  for (const { name, source, reason } of input.registry.services.values()) {
    if (source !== 'live') warnings.push(`service ${name} is ${source}: ${reason ?? ''}`)
  }
  const base = { warnings, table: table?.version }
  if (state === 'draining') return { ...base, status: 'draining', reasons: ['the gateway is shutting down'] }
  const reasons: string[] = []
  if (table === undefined) reasons.push('there is no table yet')
  const hasAnswer = registries.some(({ status }) => status.lastSuccess !== undefined)
  if (registries.length > 0 && !hasAnswer && !input.hasSnapshot) reasons.push('no registry has answered yet')
  if (input.configuration?.isRequired === true && input.configuration.revision === undefined) {
    reasons.push('no revision of the configuration was taken yet (configuration.required)')
  }
  if (state === 'starting' && reasons.length === 0) reasons.push('the listeners are not open yet')
  return { ...base, status: reasons.length === 0 ? 'ready' : 'unready', reasons }
}
