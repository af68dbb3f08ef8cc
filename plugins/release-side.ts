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
}

/**
 * Asks lanes and canary rules, after the inbound filters: who the client is, is known then. Writes the decision into the
 * headers that go upstream. Undefined = no release has anything to say.
 */
export function chooseSide(
  intake: Intake,
  routed: Routed,
  principal: Principal | undefined,
  newId: (bytes: number) => string,
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
  const decision = decideSide(input, table.canaries, place)
  if (decision === undefined) return undefined
  for (let i = 0; i < decision.headers.length; i += 2) {
    headers.set(decision.headers[i] as string, decision.headers[i + 1] as string)
  }
  const { side } = decision
  return { routed: side === undefined ? routed : { ...routed, side }, decision }
}

/** What a shared cache would hand to everybody must not hold one client's id. */
const isShared = (headers: Headers): boolean =>
  /(?:^|[\s,])(?:public|s-maxage)\b/i.test(headers.get('cache-control') ?? '')

/** Gives the client its cookie with the answer of an instance. */
export function giveCookies(sided: Sided | undefined, headers: Headers): void {
  const cookies = sided?.decision.cookies
  if (cookies === undefined || cookies.length === 0 || isShared(headers)) return
  for (const cookie of cookies) headers.append('set-cookie', cookie)
}

/** For the record: who decided, and which side it was in the end. `instanceKey`: of the last try. */
export function canaryFinding(
  sided: Sided | undefined,
  instanceKey: string | undefined,
): CanaryFinding | undefined {
  if (sided === undefined) return undefined
  const { side, rule, others } = sided.decision
  if (side === undefined || rule === undefined) return undefined
  if (instanceKey === undefined || side.keys.has(instanceKey)) return { rule, side: side.name, others }
  const other = side.fallbacks.find(({ keys }) => keys.has(instanceKey))
  if (other === undefined) return { rule, side: side.name, others }
  return { rule, side: other.name, wanted: side.name, others: [] }
}
