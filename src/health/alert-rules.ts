import type { AlertKind, AlertSeverity, FlappingView } from '../core/monitor-view.ts'
import type { RegistryView, ServiceView } from '../core/views.ts'
import { serviceBlindness } from './blindness.ts'

/** A rule of `monitor.alerts.rules`. */
export interface AlertRule {
  readonly name: string
  readonly kind: AlertKind
  /** `*` stands for any text; undefined = each one that routes send to. */
  readonly service?: string | undefined
  /** For registryStale; undefined = all. */
  readonly registry?: string | undefined
  /** For minHealthy: a number, or a share such as `50%`. */
  readonly min: number | string
  /** ms. */
  readonly for: number
  readonly severity: AlertSeverity
  readonly labels: Readonly<Record<string, string>>
}

/** What rules look at: everything at one moment. */
export interface AlertWorld {
  readonly services: readonly ServiceView[]
  readonly registries: readonly RegistryView[]
  readonly flapping: readonly FlappingView[]
}

/** What a rule says of one subject; of those that it does not name, its condition does not hold. */
export interface Finding {
  /** Which of the rule's subjects: a service, a key, a registry. */
  readonly subject: string
  readonly service: string
  readonly instance?: string
  readonly address?: string
  readonly registry?: string
  readonly summary: string
  /** It cannot be told now: what was, stays. */
  readonly isUnknown?: true
  /** Since when it holds, where that is known better than by looking. ms since the epoch. */
  readonly activeAt?: number
}

type Evaluate = (world: AlertWorld, now: number) => Finding[]

function globTest(glob: string): (text: string) => boolean {
  const parts = glob.split('*').map((part) => part.replaceAll(/[\\^$.|?+()[\]{}/-]/g, '\\$&'))
  const pattern = new RegExp(`^${parts.join('.*')}$`, 's')
  return (text) => pattern.test(text)
}

/** The services that a rule is about. */
function serviceTest({ service }: AlertRule): (service: ServiceView) => boolean {
  if (service === undefined) return ({ routes }) => routes.length > 0
  const isNamed = globTest(service)
  return ({ name }) => isNamed(name)
}

const seconds = (ms: number): string =>
  ms < 120_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`

/** How many have to be in rotation; at least one. */
function wantedOf(min: number | string, { instances }: ServiceView): number {
  if (typeof min === 'number') return min
  // What is taken out on purpose is on its way to be replaced.
  const listed = instances.filter(({ state }) => state !== 'draining' && state !== 'maintenance').length
  return Math.max(1, Math.ceil((listed * Number.parseInt(min, 10)) / 100))
}

function minHealthyOf(rule: AlertRule, service: ServiceView, world: AlertWorld): Finding[] {
  const { name, available, instances } = service
  const wanted = wantedOf(rule.min, service)
  if (available >= wanted) return []
  const summary = `${name}: ${available} of ${instances.length} instances in rotation, ${wanted} wanted`
  const finding: Finding = { subject: name, service: name, summary }
  const blind = serviceBlindness(service, world.registries)
  if (blind === undefined) return [finding]
  // What the gateway took out itself it knows, whatever the registry says.
  const ejected = instances.filter(({ use }) => use === 'ejected').length
  return available + ejected >= wanted ? [finding] : [{ ...finding, isUnknown: true }]
}

function minHealthy(rule: AlertRule): Evaluate {
  const isMine = serviceTest(rule)
  const named = rule.service?.includes('*') === false ? rule.service : undefined
  return (world) => {
    const found = world.services.filter(isMine).flatMap((service) => minHealthyOf(rule, service, world))
    if (named === undefined || world.services.some(isMine)) return found
    const finding = { subject: named, service: named, summary: `${named}: nobody knows this service` }
    const isKnown = world.registries.every(({ status }) => status.state === 'live')
    return [isKnown ? finding : { ...finding, isUnknown: true }]
  }
}

function versionSkew(rule: AlertRule): Evaluate {
  const isMine = serviceTest(rule)
  return ({ services, registries }) =>
    services.filter(isMine).flatMap((service) => {
      const counts = new Map<string, number>()
      for (const { use, version } of service.instances) {
        if (use === 'rotation' && version !== undefined) counts.set(version, (counts.get(version) ?? 0) + 1)
      }
      if (counts.size < 2) return []
      const versions = [...counts].sort().map(([version, count]) => `${version} (${count})`)
      const { name } = service
      const finding = {
        subject: name,
        service: name,
        summary: `${name}: ${counts.size} versions in rotation: ${versions.join(', ')}`,
      }
      return serviceBlindness(service, registries) === undefined
        ? [finding]
        : [{ ...finding, isUnknown: true }]
    })
}

function noTraffic(rule: AlertRule): Evaluate {
  const isMine = serviceTest(rule)
  return ({ services }, now) =>
    services.filter(isMine).flatMap(({ name, instances }) => {
      const last = Math.max(...instances.map(({ lastRequestAt = 0 }) => lastRequestAt))
      if (last <= 0 || instances.some(({ inFlight }) => inFlight > 0)) return []
      const summary = `${name}: no request for ${seconds(now - last)}`
      return [{ subject: name, service: name, summary, activeAt: Math.round(last) }]
    })
}

function flapping(rule: AlertRule): Evaluate {
  const isMine = serviceTest(rule)
  return (world) => {
    const names = new Set(world.services.filter(isMine).map(({ name }) => name))
    return world.flapping
      .filter(({ service }) => names.has(service))
      .map(({ service, key, address, changes, since }) => ({
        subject: key,
        service,
        instance: key,
        address,
        summary: `${service}: instance ${address} flaps, ${changes} changes of late`,
        activeAt: since,
      }))
  }
}

function registryStale(rule: AlertRule): Evaluate {
  const isMine = globTest(rule.registry ?? '*')
  return ({ registries, services }, now) => {
    const own = registries.filter(({ name }) => isMine(name))
    const silent = own.filter(({ status }) => status.state !== 'live')
    const found: Finding[] = silent.map(({ name, status }) => {
      const { state, lastSuccess, lastError } = status
      const last =
        lastSuccess === undefined ? 'no answer yet' : `last answer ${seconds(now - lastSuccess)} ago`
      const error = lastError === undefined ? '' : `: ${lastError.message}`
      return {
        subject: name,
        service: '',
        registry: name,
        summary: `registry ${name} is ${state}, ${last}${error}`,
      }
    })
    // One registry that is away makes all its services stale: that is one alert, not hundreds.
    if (found.length > 0 || own.length < registries.length) return found
    return services
      .filter(({ source }) => source === 'stale')
      .map(({ name, reason = 'its read fails' }) => ({
        subject: `service ${name}`,
        service: name,
        summary: `${name} is stale: ${reason}`,
      }))
  }
}

const KINDS: Readonly<Record<AlertKind, (rule: AlertRule) => Evaluate>> = {
  minHealthy,
  flapping,
  versionSkew,
  noTraffic,
  registryStale,
}

/** The rule as a pure question: of whom does it hold? */
export const evaluatorOf = (rule: AlertRule): Evaluate => KINDS[rule.kind](rule)
