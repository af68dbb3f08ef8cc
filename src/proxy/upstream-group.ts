import type { Instance } from '../core/types.ts'
import type { Side } from '../routing/release.ts'
import type { Rotation } from '../routing/rotation.ts'
import type { Service } from '../routing/table.ts'
import type { LiveUpstream } from './live-upstream.ts'
import type { ServiceLoad } from './upstream-stats.ts'

/** The live side of one service. */
export interface Group {
  service: Service
  readonly live: Map<string, LiveUpstream>
  eligible: readonly LiveUpstream[]
  reserve: readonly LiveUpstream[]
  /** Part of the reserve: the first list is used before the second. */
  standby: readonly (readonly LiveUpstream[])[]
  readonly credits: Map<string, number>
  readonly load: ServiceLoad
  /** Ejections or zones narrow the candidates; see `rotations`. */
  isNarrowed: boolean
  /** By list of candidates; made anew with each change. */
  rotations: WeakMap<readonly LiveUpstream[], Rotation<LiveUpstream>>
  isPanic: boolean
  /** Somebody of `standby` is in rotation. */
  isCovered: boolean
  /** Monotonic ms. */
  nextSweepAt: number
  /** `Instance.key` of all of a version, by list of its candidates. */
  members: WeakMap<readonly LiveUpstream[], ReadonlySet<string>>
  /** The live sides of versions, looked up once for each; forgotten when instances change. */
  sides: WeakMap<Side, LiveSide>
}

/** The live sides of the instances of one version. */
export interface LiveSide {
  readonly eligible: readonly LiveUpstream[]
  readonly reserve: readonly LiveUpstream[]
}

export function createGroup(service: Service): Group {
  return {
    service,
    live: new Map(),
    eligible: [],
    reserve: [],
    standby: [],
    credits: new Map(),
    load: {
      inFlight: 0,
      retrying: 0,
      retries: 0,
      retryOverflows: 0,
      breakerRefusals: 0,
      successes: 0,
      failures: 0,
      breaker: undefined,
    },
    isNarrowed: false,
    rotations: new WeakMap(),
    isPanic: false,
    isCovered: false,
    nextSweepAt: 0,
    members: new WeakMap(),
    sides: new WeakMap(),
  }
}

/** Who of a version may be picked now. */
export function liveSide(group: Group, side: Side): LiveSide {
  let live = group.sides.get(side)
  if (live === undefined) {
    const isIn = ({ key }: LiveUpstream) => side.keys.has(key)
    live = { eligible: group.eligible.filter(isIn), reserve: group.reserve.filter(isIn) }
    group.sides.set(side, live)
    group.members.set(live.eligible, side.keys)
  }
  return live
}

/** Instances of this zone behind a list of candidates, whatever their state. Undefined = a list of reserves. */
export function countInZone(
  group: Group,
  candidates: readonly LiveUpstream[],
  zone: string | undefined,
): number | undefined {
  const members = group.members.get(candidates)
  if (members === undefined && candidates !== group.eligible) return undefined
  let count = 0
  for (const [key, upstream] of group.live) {
    if (upstream.zone === zone && (members === undefined || members.has(key))) count++
  }
  return count
}

/** The live sides of these instances. */
export function lookUp(group: Group, instances: readonly Instance[]): LiveUpstream[] {
  const found: LiveUpstream[] = []
  for (const instance of instances) {
    const upstream = group.live.get(instance.key)
    if (upstream !== undefined) found.push(upstream)
  }
  return found
}
