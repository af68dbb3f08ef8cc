import type { Side } from '../routing/release.ts'
import type { LiveUpstream } from './live-upstream.ts'
import { type Group, liveSide } from './upstream-group.ts'

type Pick = (candidates: readonly LiveUpstream[]) => LiveUpstream | undefined

function hasLive(candidates: readonly LiveUpstream[], tried: ReadonlySet<string>, now: number): boolean {
  for (const one of candidates) if (one.ejectedUntil <= now && !tried.has(one.key)) return true
  return false
}

/**
 * An instance of this version; when none of it is in rotation or all are full, one of those that answer in its place. Those
 * that are only the last resort (held, draining, ejected) come after everybody else. `now`: monotonic ms.
 */
export function pickSide(
  group: Group,
  side: Side,
  tried: ReadonlySet<string>,
  now: number,
  pick: Pick,
): LiveUpstream | undefined {
  const { fallbacks } = side
  let full: LiveUpstream | undefined
  for (let i = -1; i < fallbacks.length; i++) {
    const { eligible } = liveSide(group, i === -1 ? side : (fallbacks[i] as Side))
    if (!hasLive(eligible, tried, now)) continue
    const found = pick(eligible)
    if (found !== undefined && !found.isFull) return found
    full ??= found
  }
  if (full !== undefined) return full
  for (const one of [side, ...fallbacks]) {
    const { eligible, reserve } = liveSide(group, one)
    const found = pick(reserve) ?? pick(eligible)
    if (found !== undefined) return found
  }
  return undefined
}
