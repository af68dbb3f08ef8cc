import type { HealthVerdict, InstanceView, RegistryView, ServiceView } from '../core/views.ts'
import { instanceBlindness, serviceBlindness } from './blindness.ts'

/** Consul's check of the node itself. */
const NODE_CHECK = 'serfHealth'

/** What a verdict is made from. */
export interface VerdictInput {
  readonly service: ServiceView | undefined
  readonly registries: readonly RegistryView[]
  /** Id, key, `address:port`, address or node of an instance; undefined = the service as a whole. */
  readonly instance: string | undefined
}

/**
 * Whether an instance or a service is healthy, made for scripts that kill. `unhealthy` only when the gateway knows it;
 * whatever it does not know (a registry that does not answer, an instance it never heard of, one that a guard holds) is
 * `unknown`, because the caller must not take the gateway's blindness for the instance's fault. Pure.
 */
export function judgeHealth({ service, registries, instance }: VerdictInput): HealthVerdict {
  if (service === undefined) return unknown('no route and no registry knows this service')
  if (instance === undefined) return judgeService(service, registries)
  const found = service.instances.filter((one) => isNamed(one, instance))
  const [only] = found
  if (only === undefined) return unknown(`${service.name} has no such instance, or not yet`)
  if (found.length > 1)
    return unknown(`${found.length} instances have that name: give address:port, id or key`)
  return judgeInstance(only, service, registries)
}

function judgeInstance(
  one: InstanceView,
  service: ServiceView,
  registries: readonly RegistryView[],
): HealthVerdict {
  const { state, since } = one
  const about = { state, ...(since === undefined ? {} : { since }) }
  if (one.use === 'ejected') return { verdict: 'unhealthy', ...about, reason: one.reason ?? 'ejected' }
  if (one.reason?.startsWith('held') === true) return { ...unknown(one.reason), ...about }
  const blind = instanceBlindness(one, service, registries)
  if (blind !== undefined) return { ...unknown(blind), ...about }
  // It stops by itself: whoever kills must get no reason to do it sooner.
  if (state === 'draining' || state === 'maintenance') {
    return { verdict: 'healthy', ...about, reason: `${state}: taken out on purpose` }
  }
  if (state !== 'critical') return { verdict: 'healthy', ...about, reason: `the registry says ${state}` }
  const critical = one.checks.filter((check) => check.state === 'critical')
  const isNodeSilent = critical.some(({ id }) => id === NODE_CHECK)
  // An agent that is gone takes the checks of its whole node along: nobody has looked at the instance since.
  if (isNodeSilent && critical.every(({ id, expired }) => id === NODE_CHECK || expired === true)) {
    return { ...unknown(`nothing is heard of its node ${one.node ?? ''}`.trimEnd()), ...about }
  }
  const failed = critical.map(({ id, output }) => `${id}: ${output}`)
  return { verdict: 'unhealthy', ...about, reason: failed.join('; ') || 'the registry says critical' }
}

function judgeService(service: ServiceView, registries: readonly RegistryView[]): HealthVerdict {
  const { available, instances } = service
  const blind = serviceBlindness(service, registries)
  if (available > 0) {
    // They are asked, and whoever does not answer is ejected: that much is known.
    const asOf = blind === undefined ? '' : `, as last known: ${blind}`
    return { verdict: 'healthy', reason: `${available} of ${instances.length} can be used${asOf}` }
  }
  if (blind !== undefined) return unknown(blind)
  if (instances.length === 0) return unknown('the registry lists no instance')
  const verdicts = instances.map((one) => judgeInstance(one, service, registries))
  const [first] = verdicts
  // Nobody has looked at any of them: that is not the same as all having failed.
  if (first !== undefined && verdicts.every(({ verdict }) => verdict === 'unknown'))
    return unknown(first.reason)
  return { verdict: 'unhealthy', reason: `none of ${instances.length} instances can be used` }
}

function isNamed({ id, key, address, node }: InstanceView, name: string): boolean {
  const host = address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '')
  return [id, key, address, host, node].includes(name)
}

function unknown(reason: string): HealthVerdict {
  return { verdict: 'unknown', reason }
}
