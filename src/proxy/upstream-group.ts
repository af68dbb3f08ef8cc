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
  readonly credits: Map<string, number>
  readonly load: ServiceLoad
  /** Ejections or zones narrow the candidates; see `rotations`. */
  isNarrowed: boolean
  /** By list of candidates; made anew with each change. */
  rotations: WeakMap<readonly LiveUpstream[], Rotation<LiveUpstream>>
  isPanic: boolean
  /** Monotonic ms. */
  nextSweepAt: number
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
    nextSweepAt: 0,
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
  }
  return live
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
