import type { FilterContext } from '../src/filters/filter.ts'
import type { Routed } from '../src/routing/table.ts'
import type { Intake } from './intake.ts'

/** A request as filters see it. `contentLength`: undefined = unknown. `maxBodyBytes`: 0 = no limit. */
export function createFilterContext(
  intake: Intake,
  routed: Routed,
  contentLength: number | undefined,
  maxBodyBytes: number,
): FilterContext {
  const { requestId, method, scheme, httpVersion, clientIp, isTrustedPeer, headers } = intake
  return {
    requestId,
    method,
    scheme,
    httpVersion,
    clientIp,
    isTrustedPeer,
    decision: routed,
    headers,
    contentLength,
    body: undefined,
    response: undefined,
    maxBodyBytes: maxBodyBytes === 0 ? undefined : maxBodyBytes,
    attributes: new Map(),
  }
}
