import type { HealthVerdict, InstanceView, RegistryView, ServiceView, TopologyView } from '../core/views.ts'
import { judgeHealth } from '../health/verdict.ts'
import type { FleetAnswer } from './monitor-answers.ts'
import type { Style } from './styled.ts'

/**
 * `bad`: somebody should do something. `unknown`: the gateway cannot tell, which is not the service's fault. `note`: on
 * purpose, or not yet bad.
 */
export type Level = 'bad' | 'unknown' | 'note'

/** What there is to say of a service or an instance. */
export interface Finding {
  readonly level: Level
  /** In words. */
  readonly text: string
}

export const LEVEL_STYLE: Readonly<Record<Level, Style>> = { bad: 'red', unknown: 'magenta', note: 'dim' }
const LEVELS: readonly Level[] = ['bad', 'unknown', 'note']

/** The worst of them; undefined = there is none. */
export function worst(findings: readonly Finding[]): Level | undefined {
  return LEVELS.find((level) => findings.some((one) => one.level === level))
}

/** In one line; what is not known says so. */
export function findingsText(findings: readonly Finding[]): string {
  return findings.map(({ level, text }) => (level === 'unknown' ? `unknown: ${text}` : text)).join('; ')
}

/** Something a person should look at: bad, or not known. */
export function isProblem(findings: readonly Finding[]): boolean {
  const level = worst(findings)
  return level !== undefined && level !== 'note'
}

const LEVEL_OF = { unhealthy: 'bad', unknown: 'unknown', healthy: 'note' } as const

/** One instance: what this gateway makes of it, what others do. */
export function judgeInstance(
  one: InstanceView & { readonly flapping?: true },
  service: ServiceView,
  registries: readonly RegistryView[],
  fleet?: FleetAnswer,
): { readonly verdict: HealthVerdict['verdict']; readonly findings: readonly Finding[] } {
  const alone = { ...service, instances: [one] }
  const { verdict, reason } = judgeHealth({ service: alone, registries, instance: one.key })
  const own =
    verdict !== 'healthy' || one.use !== 'rotation'
      ? [{ level: LEVEL_OF[verdict], text: verdict === 'healthy' ? (one.reason ?? reason) : reason }]
      : []
  const elsewhere = othersOf(one, fleet).filter(({ use }) => use === 'ejected')
  return {
    verdict,
    findings: [
      ...own,
      ...(one.flapping === true ? [{ level: 'bad' as const, text: 'flaps' }] : []),
      ...elsewhere.map(({ name, reason: why = 'ejected' }) => ({
        level: 'bad' as const,
        text: `gateway ${name} has ejected it: ${why}`,
      })),
    ],
  }
}

/** What another gateway makes of an instance. */
export interface OtherSight {
  /** Of the gateway. */
  readonly name: string
  readonly use: InstanceView['use']
  readonly reason?: string
}

/**
 * What other gateways that are still heard of make of an instance. One that says nothing of it has it as the registry does:
 * gateways only tell what the registry does not.
 */
export function othersOf({ key, use }: InstanceView, fleet: FleetAnswer | undefined): readonly OtherSight[] {
  const sights = new Map(fleet?.instances[key]?.map((one) => [one.gateway, one]))
  const silent = use === 'ejected' ? 'rotation' : use
  return (fleet?.gateways ?? [])
    .filter(({ role, isSelf, isStale }) => role === 'gateway' && !isSelf && !isStale)
    .flatMap(({ id, name, isCut }): OtherSight[] => {
      const sight = sights.get(id)
      if (sight !== undefined) return [{ ...sight, name }]
      return isCut ? [] : [{ name, use: silent }]
    })
}

/** `1 of 3 unhealthy: …`, with the words of the first. `isBlind`: that all are unknown is said already. */
function instanceFindings(
  service: ServiceView,
  registries: readonly RegistryView[],
  isBlind: boolean,
): Finding[] {
  const all = service.instances.map((one) => ({ one, ...judgeInstance(one, service, registries) }))
  const of = `of ${all.length}`
  const said = (verdict: 'unhealthy' | 'unknown'): Finding[] => {
    const found = all.filter((judged) => judged.verdict === verdict)
    const [first] = found
    if (first === undefined) return []
    const others = found.length > 1 ? ` (and ${found.length - 1} more)` : ''
    const head = `${found.length} ${of}${verdict === 'unhealthy' ? ' unhealthy' : ''}`
    const text = `${head}: ${first.one.address} ${first.findings[0]?.text ?? ''}${others}`
    return [{ level: LEVEL_OF[verdict], text }]
  }
  const states = (['draining', 'maintenance', 'warning'] as const).flatMap((state): Finding[] => {
    const count = all.filter(({ one, verdict }) => one.state === state && verdict === 'healthy').length
    return count === 0 ? [] : [{ level: 'note', text: `${count} ${of} ${state}` }]
  })
  const flapping = all.filter(({ one }) => (one as { readonly flapping?: true }).flapping === true)
  const [flaps] = flapping
  if (flaps !== undefined) {
    states.push({ level: 'bad', text: `${flapping.length} ${of} flapping: ${flaps.one.address}` })
  }
  return [...said('unhealthy'), ...(isBlind ? [] : said('unknown')), ...states]
}

function breakerFinding({ breaker, breakerRefusals }: ServiceView): Finding[] {
  if (breaker === 'open') return [{ level: 'bad', text: `breaker open, ${breakerRefusals} refused` }]
  return breaker === 'half-open' ? [{ level: 'note', text: 'breaker half-open' }] : []
}

/** The registries that a service's instances come from. */
export function registriesOf(
  service: ServiceView,
  registries: readonly RegistryView[],
): readonly RegistryView[] {
  const names = new Set(service.instances.map(({ key }) => key.slice(0, key.indexOf('/'))))
  return registries.filter(({ name }) => names.has(name))
}

/** Why what is known of a service may be old, or is nothing. */
function blindness(service: ServiceView, registries: readonly RegistryView[]): Finding[] {
  const { source, reason } = service
  const why = reason === undefined ? '' : `: ${reason}`
  if (source === 'absent') return [{ level: 'unknown', text: `no registry has it${why}` }]
  if (source === 'stale') return [{ level: 'unknown', text: `stale${why}` }]
  return registriesOf(service, registries)
    .filter(({ status }) => status.state !== 'live')
    .map(({ name, status }) => ({ level: 'unknown', text: `registry ${name} is ${status.state}` }))
}

/** Everything there is to say of a service, the worst first. */
export function judgeService(
  service: ServiceView,
  { registries }: Pick<TopologyView, 'registries'>,
): { readonly verdict: HealthVerdict['verdict']; readonly findings: readonly Finding[] } {
  const { verdict, reason } = judgeHealth({ service, registries, instance: undefined })
  const blind = blindness(service, registries)
  const isToldAlready = verdict === 'healthy' || (verdict === 'unknown' && blind.length > 0)
  const findings: Finding[] = [
    ...(isToldAlready ? [] : [{ level: LEVEL_OF[verdict], text: reason }]),
    ...blind,
    ...(service.source === 'held'
      ? [{ level: 'unknown' as const, text: `held: ${service.reason ?? 'by a guard'}` }]
      : []),
    ...(service.isPanic
      ? [{ level: 'bad' as const, text: 'panic: too few are in rotation, ejections are ignored' }]
      : []),
    ...breakerFinding(service),
    ...(service.isInTable ? [] : [{ level: 'note' as const, text: 'no route names it' }]),
    ...instanceFindings(service, registries, blind.length > 0),
  ]
  return { verdict, findings: LEVELS.flatMap((level) => findings.filter((one) => one.level === level)) }
}
