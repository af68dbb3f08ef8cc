import type { Side } from '../routing/release.ts'
import type { LiveUpstream } from './live-upstream.ts'
import { type Group, liveSide } from './upstream-group.ts'

/** `isLastResort`: an ejected one is better than nobody. */
type Pick = (candidates: readonly LiveUpstream[], isLastResort: boolean) => LiveUpstream | undefined

/**
 * An instance of this version; when none of it is in rotation or all are full, one of those that answer in its place. Those
 * that are only the last resort (held, draining, ejected) come after everybody else.
 */
export function pickSide(group: Group, side: Side, pick: Pick): LiveUpstream | undefined {
  const { fallbacks } = side
  let full: LiveUpstream | undefined
  for (let i = -1; i < fallbacks.length; i++) {
    const { eligible } = liveSide(group, i === -1 ? side : (fallbacks[i] as Side))
    const found = pick(eligible, false)
    if (found !== undefined && !found.isFull) return found
    full ??= found
  }
  if (full !== undefined) return full
  for (const one of [side, ...fallbacks]) {
    const { eligible, reserve } = liveSide(group, one)
    const found = pick(reserve, true) ?? pick(eligible, true)
    if (found !== undefined) return found
  }
  return undefined
}
