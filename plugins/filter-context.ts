import type { FilterFindings, RefusalFinding } from '../src/core/record.ts'
import type { BodyNeed, FilterContext } from '../src/filters/filter.ts'
import { clientCertificateOf, receivedHeaders } from '../src/proxy/client-side.ts'
import type { Routed } from '../src/routing/table.ts'
import type { Intake } from './intake.ts'

/**
 * A request as filters see it. `contentLength`: undefined = unknown. `maxBodyBytes`: 0 = no limit. `readBody`: only
 * when there is a body and a filter that wants to see it.
 */
export function createFilterContext(
  intake: Intake,
  routed: Routed,
  contentLength: number | undefined,
  maxBodyBytes: number,
  readBody?: (need: BodyNeed) => Promise<void>,
): FilterContext {
  const { requestId, method, scheme, httpVersion, clientIp, isTrustedPeer, headers, request } = intake
  return {
    requestId,
    method,
    scheme,
    httpVersion,
    clientIp,
    isTrustedPeer,
    decision: routed,
    target: intake.target,
    authority: intake.authority,
    headers,
    receivedHeaders: () => receivedHeaders(request),
    clientCertificate: () => clientCertificateOf(request),
    contentLength,
    body: undefined,
    isBodyWhole: false,
    principal: undefined,
    ...(readBody === undefined ? {} : { readBody }),
    response: undefined,
    trace: undefined,
    maxBodyBytes: maxBodyBytes === 0 ? undefined : maxBodyBytes,
    attributes: new Map(),
  }
}

/** What filters found out about a request, for its record. */
export function filterFindings(ctx: FilterContext | undefined): FilterFindings {
  if (ctx === undefined) return NOTHING
  const { principal, attributes } = ctx
  return {
    principal: principal === undefined ? undefined : { id: principal.id, kind: principal.kind },
    refusedBy: attributes.get('refusedBy') as string | undefined,
    refusal: attributes.get('refusal') as RefusalFinding | undefined,
    wouldRefuse: attributes.get('wouldRefuse') as readonly string[] | undefined,
  }
}

const NOTHING: FilterFindings = Object.freeze({
  principal: undefined,
  refusedBy: undefined,
  wouldRefuse: undefined,
})
