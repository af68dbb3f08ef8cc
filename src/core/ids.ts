import { randomFillSync } from 'node:crypto'

const POOL = 4096

/** Makes random hex ids; asks the system for many bytes at a time. */
export function createIdSource(): (bytes: number) => string {
  const pool = Buffer.allocUnsafe(POOL)
  let used = POOL
  return (bytes) => {
    if (used + bytes > POOL) {
      randomFillSync(pool)
      used = 0
    }
    used += bytes
    return pool.toString('hex', used - bytes, used)
  }
}

const TRACEPARENT = /^00-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})$/
const ZERO_TRACE = '0'.repeat(32)

/** The trace id and flags of a `traceparent` (W3C Trace Context, version 00); undefined when it is none. */
export function parseTraceparent(value: string | undefined): { traceId: string; flags: string } | undefined {
  const match = value === undefined ? null : TRACEPARENT.exec(value)
  const [, traceId = ZERO_TRACE, flags = '00'] = match ?? []
  return traceId === ZERO_TRACE ? undefined : { traceId, flags }
}

/** The same trace with another span (parent) id; what is no `traceparent` of version 00 stays as it is. */
export function withSpanId(traceparent: string, spanId: string): string {
  return TRACEPARENT.test(traceparent)
    ? `${traceparent.slice(0, 36)}${spanId}${traceparent.slice(52)}`
    : traceparent
}
