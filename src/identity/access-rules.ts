import type { Principal } from '../core/principal.ts'

/** What a rule looks at. Each condition that is given must hold; in a list one of its members. */
export interface AccessConditions {
  readonly roles?: readonly string[] | undefined
  readonly groups?: readonly string[] | undefined
  readonly scopes?: readonly string[] | undefined
  readonly allScopes?: readonly string[] | undefined
  readonly principals?: readonly PrincipalMatch[] | undefined
  readonly methods?: readonly string[] | undefined
  /** Compiled from networks. */
  readonly isInNetworks?: ((address: string) => boolean) | undefined
  /** true = anybody with a principal, false = only without. */
  readonly authenticated?: boolean | undefined
}

/** Every part that is given must be equal. */
export interface PrincipalMatch {
  readonly id?: string | undefined
  readonly kind?: string | undefined
  readonly realm?: string | undefined
}

export interface AccessRule {
  readonly effect: 'allow' | 'deny'
  readonly conditions: AccessConditions
}

/** The request as rules see it. */
export interface AccessRequest {
  readonly principal: Principal | undefined
  readonly method: string
  readonly clientIp: string
}

/**
 * `denied`: a rule says so; `not-allowed`: no rule lets it pass; `unknown`: no rule lets it pass, but one might if we
 * knew who asks.
 */
export type AccessVerdict = 'allowed' | 'denied' | 'not-allowed' | 'unknown'

const anyOf = (wanted: readonly string[] | undefined, has: readonly string[]) =>
  wanted === undefined || wanted.some((each) => has.includes(each))

function needsPrincipal({
  roles,
  groups,
  scopes,
  allScopes,
  principals,
  authenticated,
}: AccessConditions): boolean {
  return (
    [roles, groups, scopes, allScopes, principals].some((each) => each !== undefined) ||
    authenticated === true
  )
}

function fitsRequest(
  { methods, isInNetworks }: AccessConditions,
  { method, clientIp }: AccessRequest,
): boolean {
  // As with routes: who says GET means HEAD, too.
  const asked = method === 'HEAD' ? ['HEAD', 'GET'] : [method]
  return anyOf(methods, asked) && (isInNetworks?.(clientIp) ?? true)
}

function fitsPrincipal(conditions: AccessConditions, principal: Principal | undefined): boolean {
  const { authenticated, principals, allScopes } = conditions
  if (principal === undefined) return !needsPrincipal(conditions)
  if (authenticated === false) return false
  const fits = ({ id, kind, realm }: PrincipalMatch) =>
    (id === undefined || id === principal.id) &&
    (kind === undefined || kind === principal.kind) &&
    (realm === undefined || realm === principal.realm)
  return (
    anyOf(conditions.roles, principal.roles) &&
    anyOf(conditions.groups, principal.groups) &&
    anyOf(conditions.scopes, principal.scopes) &&
    (allScopes?.every((scope) => principal.scopes.includes(scope)) ?? true) &&
    (principals?.some(fits) ?? true)
  )
}

/** The first rule that fits decides; when none does, the request may not pass. */
export function decideAccess(rules: readonly AccessRule[], request: AccessRequest): AccessVerdict {
  let mightPass = false
  for (const { effect, conditions } of rules) {
    if (!fitsRequest(conditions, request)) continue
    if (fitsPrincipal(conditions, request.principal)) return effect === 'allow' ? 'allowed' : 'denied'
    if (effect === 'allow' && needsPrincipal(conditions)) mightPass = true
  }
  return request.principal === undefined && mightPass ? 'unknown' : 'not-allowed'
}
