import { STABLE } from '../core/canary.ts'
import type { Outcome } from '../core/outcome.ts'
import type { RequestRecord } from '../core/record.ts'
import type { Tally } from './tally.ts'

/** The instance could not be asked, or its answer could not be read. */
const FAILURES: ReadonlySet<Outcome> = new Set([
  'no_instance',
  'overflow',
  'breaker_open',
  'connect_failed',
  'connect_timeout',
  'tls_failed',
  'reset',
  'upstream_protocol',
  'header_timeout',
  'idle_timeout',
  'deadline',
])

/** Undefined = it says nothing of the version: the client's or the gateway's own doing. */
function isBad({ outcome, status }: RequestRecord): boolean | undefined {
  if (outcome === 'ok') return status >= 500
  return FAILURES.has(outcome) ? true : undefined
}

/** Counts a request for the releases that it was part of. */
export function countRecord(tally: Tally, record: RequestRecord): void {
  const { canary, upstreamMs } = record
  if (canary === undefined) return
  const { rule, side, others, wanted, wasTried, headers = [] } = canary
  // Stable answered, because the canary could not: the client saw nothing of it, but that is what counts.
  if (wanted === 'canary' && wasTried === true) {
    tally.count(rule, 'canary', { isBad: true, ms: undefined, headers: [] })
    return
  }
  const bad = isBad(record)
  if (bad === undefined) return
  const counting = { isBad: bad, ms: upstreamMs, headers }
  // What answered in the place of stable may be the version of another rule.
  if (wanted !== STABLE && (side === 'canary' || side === STABLE)) tally.count(rule, side, counting)
  if (side === STABLE) for (const other of others) tally.count(other, STABLE, counting)
}
