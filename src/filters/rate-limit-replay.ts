import type { Replay, ReplayedRequest } from '../core/replay.ts'
import { type Ask, areAllowed } from '../limits/ask.ts'
import { MemoryLimits } from '../limits/memory.ts'
import type { FilterContext } from './filter.ts'
import { createRules, type Rule, type RuleOption } from './rate-limit-rules.ts'

/** Keys that are known of a recorded request. */
const KNOWN_KEYS: ReadonlySet<string> = new Set(['principal', 'client-ip', 'route', 'method', 'constant'])

/**
 * Replays rules over recorded requests, by the code that counts live ones, in counters of its own. Undefined when a rule
 * counts by what is not recorded: a claim, a header, a cookie.
 */
export function createLimitReplay(
  { rules, gateways }: { readonly rules: readonly RuleOption[]; readonly gateways: number },
  asksOf: (rules: readonly Rule[], ctx: FilterContext) => Ask[] | 'deny',
): (() => Replay) | undefined {
  const isKnown = ({ key, cost }: RuleOption) =>
    key.every((part) => KNOWN_KEYS.has(part)) && typeof cost === 'number'
  if (!rules.every(isKnown)) return undefined
  return () => {
    let at = 0
    const clock = { now: () => at, monotonic: () => at }
    const memory = new MemoryLimits(clock)
    // Clients are hashed already, and one hash is one client.
    const replayed = createRules(rules, gateways, (client) => client)
    return (request) => {
      at = request.at
      const asks = asksOf(replayed, contextOf(request))
      if (asks === 'deny') return true
      return asks.length > 0 && !areAllowed(memory.decide(asks, ({ limit }) => limit))
    }
  }
}

/** As much of a context as rules look at. */
function contextOf({ method, route, clientKey, principal }: ReplayedRequest): FilterContext {
  const kind = principal?.slice(0, principal.indexOf(':'))
  const seen = {
    method,
    clientIp: clientKey,
    principal: principal === undefined ? undefined : { kind, id: principal, claims: {} },
    decision: { route: { spec: { name: route } } },
  }
  return seen as unknown as FilterContext
}
