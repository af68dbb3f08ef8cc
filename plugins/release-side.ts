import type { Headers } from '../src/core/headers.ts'
import type { Principal } from '../src/core/principal.ts'
import type { CanaryFinding } from '../src/core/record.ts'
import { decideSide, type SideDecision, type SideInput } from '../src/routing/canary.ts'
import { NO_RELEASES } from '../src/routing/release.ts'
import type { Routed } from '../src/routing/table.ts'
import type { Intake } from './intake.ts'

/** A request whose version is decided. */
export interface Sided {
  readonly routed: Routed
  readonly decision: SideDecision
  /** Headers that guards look for; lower case. */
  readonly watched: readonly string[]
  /** Those of them that the answer had. */
  seen?: readonly string[]
}

/**
 * Asks lanes and canary rules, after the inbound filters: who the client is, is known then. Writes the decision into the
 * headers that go upstream. Undefined = no release has anything to say. `steps`: is told why.
 */
export function chooseSide(
  intake: Intake,
  routed: Routed,
  principal: Principal | undefined,
  newId: (bytes: number) => string,
  steps?: string[],
): Sided | undefined {
  const { table, headers, clientIp, isTrustedPeer } = intake
  const { serviceName, query, route } = routed
  if (table === undefined || serviceName === undefined || table.canaries === NO_RELEASES) return undefined
  const input: SideInput = {
    header: (name) => headers.get(name),
    query,
    clientIp,
    isTrustedPeer,
    principal,
    newId,
  }
  const place = { route: route.spec.name, service: serviceName }
  const decision = decideSide(input, table.canaries, place, steps)
  if (decision === undefined) return undefined
  for (let i = 0; i < decision.headers.length; i += 2) {
    headers.set(decision.headers[i] as string, decision.headers[i + 1] as string)
  }
  const { side } = decision
  const { watched } = table.canaries
  return { routed: side === undefined ? routed : { ...routed, side }, decision, watched }
}

/** What a shared cache would hand to everybody must not hold one client's id. */
const isShared = (headers: Headers): boolean =>
  /(?:^|[\s,])(?:public|s-maxage)\b/i.test(headers.get('cache-control') ?? '')

/** Notes what guards look for in the answer of an instance, before filters change it. */
export function noteAnswer(sided: Sided | undefined, headers: Headers): void {
  if (sided === undefined || sided.watched.length === 0) return
  sided.seen = sided.watched.filter((name) => headers.get(name) !== undefined)
}

/** Gives the client its cookie with the answer of an instance. */
export function giveCookies(sided: Sided | undefined, headers: Headers): void {
  const cookies = sided?.decision.cookies
  if (cookies === undefined || cookies.length === 0 || isShared(headers)) return
  for (const cookie of cookies) headers.append('set-cookie', cookie)
}

/** For the record: who decided, and which side it was in the end. */
export function canaryFinding(
  sided: Sided | undefined,
  attempts: readonly { readonly instance: { readonly key: string } }[] = [],
): CanaryFinding | undefined {
  if (sided === undefined) return undefined
  const { side, rule, others } = sided.decision
  if (side === undefined || rule === undefined) return undefined
  const instanceKey = attempts.at(-1)?.instance.key
  const headers = sided.seen === undefined || sided.seen.length === 0 ? {} : { headers: sided.seen }
  if (instanceKey === undefined || side.keys.has(instanceKey))
    return { rule, side: side.name, others, ...headers }
  const other = side.fallbacks.find(({ keys }) => keys.has(instanceKey))
  if (other === undefined) return { rule, side: side.name, others, ...headers }
  const wasTried = attempts.some(({ instance }) => side.keys.has(instance.key))
  const found = { rule, side: other.name, wanted: side.name, others: [], ...headers }
  return wasTried ? { ...found, wasTried } : found
}
