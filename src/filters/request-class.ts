import { RE2JS } from 're2js'
import type { Principal } from '../core/principal.ts'
import { type PriorityClass, rankOf } from '../core/priority-class.ts'
import type { FilterContext } from './filter.ts'

export interface ClassRules {
  readonly class?: PriorityClass | undefined
  readonly claims: readonly { claim: string; value: string | number | boolean; class: PriorityClass }[]
  readonly roles: Readonly<Record<string, PriorityClass>>
  /** RE2. */
  readonly bots: readonly string[]
}

/** Answers remembered at a time: the same clients send again and again. */
const MAX_KNOWN = 1024
/** Of a User-Agent so much is looked at. */
const MAX_AGENT = 256

/** Which class a request is of. A client can only lower its own class, never raise it, by what it writes. */
export function createClassifier(rules: ClassRules): (ctx: FilterContext) => PriorityClass {
  const isBot = createBotTest(rules.bots)
  return (ctx) => {
    const given = rules.class ?? ctx.decision.route.spec.class
    if (given !== undefined) return given
    if (ctx.principal !== undefined) return classOfPrincipal(ctx.principal, rules)
    return isBot(ctx.headers.get('user-agent') ?? '') ? 'bots' : 'anonymous'
  }
}

function classOfPrincipal({ claims, roles }: Principal, rules: ClassRules): PriorityClass {
  for (const { claim, value, class: named } of rules.claims) {
    const has = Object.hasOwn(claims, claim) ? claims[claim] : undefined
    if (has === value || (Array.isArray(has) && has.includes(value))) return named
  }
  let best: PriorityClass | undefined
  for (const role of roles) {
    const named = Object.hasOwn(rules.roles, role) ? rules.roles[role] : undefined
    if (named !== undefined && (best === undefined || rankOf(named) < rankOf(best))) best = named
  }
  return best ?? 'authenticated'
}

/** Whether a User-Agent is a bot's: one of the patterns is found in it, whatever its case. */
export function createBotTest(patterns: readonly string[]): (agent: string) => boolean {
  if (patterns.length === 0) return () => false
  const regex = RE2JS.compile(patterns.map((one) => `(?:${one})`).join('|'), RE2JS.CASE_INSENSITIVE)
  const known = new Map<string, boolean>()
  return (agent) => {
    const text = agent.slice(0, MAX_AGENT)
    let answer = known.get(text)
    if (answer === undefined) {
      answer = regex.test(text)
      if (known.size >= MAX_KNOWN) known.clear()
      known.set(text, answer)
    }
    return answer
  }
}
