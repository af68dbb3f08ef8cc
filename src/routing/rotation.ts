import type { ZoneMode } from '../core/health-policy.ts'
import { type Balanced, type BalanceRequest, pickInstance } from './balance.ts'

/** Which of the candidates requests may go to: ejection, panic, zones. Made once a change, not once a request. */

/** What this looks at in one instance. */
export interface Rotatable {
  /** Ejected, or its check fails. */
  readonly isEjected: boolean
  readonly zone: string | undefined
}

export interface RotationRules {
  /** With less than this share in rotation ejections are ignored; 0 = never. */
  readonly panic: number
  readonly zone: ZoneMode
  /** The gateway's own; undefined = zones do not count. */
  readonly ownZone: string | undefined
  /** Instances of the own zone, also those that the registry keeps out of rotation. Absent = the candidates of it. */
  readonly zoneTotal?: number
}

/** Candidates, sorted out. */
export interface Rotation<T> {
  /** In the own zone, or all when zones do not count. */
  readonly near: readonly T[]
  /** The rest; gets what `near` is not given. */
  readonly far: readonly T[]
  /** Share of the requests for `near`. */
  readonly nearShare: number
  /** Everybody who may be asked at all, ejected or not: when nobody else is left. */
  readonly all: readonly T[]
  /** Somebody of them is not ejected. */
  readonly hasLive: boolean
  readonly isPanic: boolean
}

/**
 * As in Envoy: a zone whose share in rotation, times this, is below 1 gives the rest away. So up to 28 % of the
 * instances of a zone may be out before anything leaves it.
 */
const OVERPROVISIONING = 1.4

/** Pure. Never empty while there are candidates; with `strict` while there are some in the zone. */
export function rotate<T extends Rotatable>(candidates: readonly T[], rules: RotationRules): Rotation<T> {
  const { ownZone, panic } = rules
  const mode = ownZone === undefined ? 'off' : rules.zone
  const all = mode === 'strict' ? candidates.filter(({ zone }) => zone === ownZone) : candidates
  const healthy = all.filter(({ isEjected }) => !isEjected)
  const hasLive = healthy.length > 0
  const isPanic = healthy.length < all.length * panic
  const open = isPanic || !hasLive ? all : healthy
  if (mode !== 'prefer') return { near: open, far: [], nearShare: 1, all, hasLive, isPanic }
  const near = open.filter(({ zone }) => zone === ownZone)
  const known = Math.max(rules.zoneTotal ?? 0, all.filter(({ zone }) => zone === ownZone).length)
  const far = open.filter(({ zone }) => zone !== ownZone)
  const nearShare = far.length === 0 ? 1 : Math.min(1, (OVERPROVISIONING * near.length) / Math.max(1, known))
  return { near, far, nearShare, all, hasLive, isPanic }
}

/**
 * One of them: near or far by the share, the other side when that has nobody left or is full, and last those that are
 * ejected. With consistent hashing the hash decides the side, so that a key stays where it is.
 */
export function pickInRotation<T extends Balanced>(
  rotation: Rotation<T>,
  request: BalanceRequest,
): T | undefined {
  return pickByShare(rotation, request, rotation.all)
}

/** The same without the last resort: undefined when nobody in rotation is left, for who can go elsewhere. */
export function pickLive<T extends Balanced>(rotation: Rotation<T>, request: BalanceRequest): T | undefined {
  return rotation.hasLive ? pickByShare(rotation, request, []) : undefined
}

function pickByShare<T extends Balanced>(
  { near, far, nearShare }: Rotation<T>,
  request: BalanceRequest,
  last: readonly T[],
): T | undefined {
  const isNear =
    nearShare >= 1 ||
    (nearShare > 0 &&
      (request.kind === 'consistent-hash' ? request.hash / 2 ** 32 : request.random()) < nearShare)
  let full: T | undefined
  for (const list of isNear ? [near, far, last] : [far, near, last]) {
    if (list.length === 0) continue
    const found = pickInstance(list, request)
    if (found === undefined) continue
    if (!found.isFull) return found
    full ??= found
  }
  return full
}
