import { sleep } from '../core/duration.ts'
import type { RedisStore } from '../core/redis-store.ts'
import type { FilterDeps } from './filter.ts'

const LONGEST_MS = 1000
const LOOK_MS = 20

/**
 * Gives a store that is being connected time to get there, so that the first requests after a start are not refused.
 * Resolves after a second at the latest: a store that is down must not keep a configuration from coming in force.
 */
export async function untilReady(store: RedisStore | undefined, deps: FilterDeps): Promise<void> {
  if (store === undefined || deps.isCheck) return
  for (let waited = 0; !store.isUp && waited < LONGEST_MS; waited += LOOK_MS) await sleep(LOOK_MS)
}
