import { DEBUG_HEADER } from '../src/core/debug-token.ts'
import type { Clock, Random } from '../src/core/duration.ts'
import type { ErrorCode } from '../src/core/errors.ts'
import type { Headers } from '../src/core/headers.ts'
import { parseTraceparent } from '../src/core/ids.ts'
import type { RequestRecord } from '../src/core/record.ts'
import type { Chains } from '../src/filters/runner.ts'
import type { Recorder } from '../src/preview/recorder.ts'
import type { createClientAddress } from '../src/proxy/client-address.ts'
import { authorityOfRequest, type ClientRequest, isHttp2, receivedHeaders } from '../src/proxy/client-side.ts'
import { checkContentType } from '../src/proxy/content-type.ts'
import { setForwarded } from '../src/proxy/forwarded.ts'
import { cleanRequestHeaders } from '../src/proxy/hop-headers.ts'
import type { Upstreams } from '../src/proxy/upstreams.ts'
import { decide } from '../src/routing/decide.ts'
import type { TableStore } from '../src/routing/store.ts'
import type { Decision, Table } from '../src/routing/table.ts'
import { SESSION_COOKIE, withoutSession } from './admin-session.ts'
import type { ExchangeWatcher } from './exchange-watch.ts'
import type { Overload } from './overload.ts'
import type { Tracing } from './tracing.ts'

/** What the data path needs; the same for all listeners. */
export interface ProxyDeps {
  readonly store: TableStore
  readonly upstreams: Upstreams
  readonly chains: Chains
  readonly clientAddress: ReturnType<typeof createClientAddress>
  /** Bytes, ms. `bodyBytes` 0 = no limit. */
  readonly limits: {
    readonly headerBytes: number
    readonly headerCount: number
    readonly urlBytes: number
    readonly bodyBytes: number
    readonly idleTimeout: number
    /** Media types of bodies; none = all. */
    readonly contentTypes: readonly string[]
  }
  readonly clock: Clock
  readonly random: Random
  readonly log: { warn(fields: object, text: string): void; info(fields: object, text: string): void }
  /** Random hex digits for so many bytes. */
  newId(bytes: number): string
  /** Remembers the form of requests. */
  readonly recorder?: Recorder
  /** Explains requests that ask for it with a token. Absent = none ever. */
  readonly debug?: { begin(intake: Intake): Tracing | undefined } | undefined
  /** Who wants to look on at an exchange; undefined = nobody ever. */
  readonly watch?: ExchangeWatcher
  /** Called once for each request, when it is over. */
  onRecord(record: RequestRecord): void
  /** Refuses requests while the gateway itself is at its limit. Absent = never. */
  readonly overload?: Overload
  /** The gateway is going away: clients are told to close their connections. */
  isDraining(): boolean
}

/** Where a request came in. */
export interface Listener {
  readonly scheme: 'http' | 'https'
  readonly port: number
}

/** One request as it came in, with the table it is pinned to and what that table says. */
export interface Intake {
  /** For what is seldom asked: headers as received, the client's certificate. */
  readonly request: ClientRequest
  /** ms since the epoch. */
  readonly startedAt: number
  /** Monotonic ms. */
  readonly begunAt: number
  readonly requestId: string
  readonly traceId: string
  readonly method: string
  readonly target: string
  readonly httpVersion: string
  readonly scheme: 'http' | 'https'
  readonly authority: string | undefined
  /** The client's Host for `host: preserve`: normalised, with the port it named. */
  readonly clientHost: string
  readonly peerIp: string
  readonly clientIp: string
  readonly isTrustedPeer: boolean
  /** As received until `prepareHeaders`; then what goes upstream. */
  readonly headers: Headers
  readonly userAgent: string | undefined
  readonly table: Table | undefined
  readonly decision: Decision
  /** What it was drawn with. */
  readonly roll: number
  readonly traceFlags: string
}

const REQUEST_ID = /^[\w.:/+=-]{1,128}$/

/** `HTTP/0.9` and an `HTTP/2.0` in clear get through Node's parser. */
const VERSIONS: ReadonlySet<string> = new Set(['1.0', '1.1'])

function limitProblem(
  request: ClientRequest,
  target: string,
  headers: Headers,
  limits: ProxyDeps['limits'],
): ErrorCode | undefined {
  if (!isHttp2(request) && !VERSIONS.has(request.httpVersion)) return 'GW_REQUEST_MALFORMED'
  if (target.length > limits.urlBytes) return 'GW_REQUEST_URL_TOO_LONG'
  if (headers.size > limits.headerCount) return 'GW_REQUEST_HEADERS_TOO_LARGE'
  let bytes = 0
  for (const part of headers.raw()) bytes += part.length
  return bytes > limits.headerBytes ? 'GW_REQUEST_HEADERS_TOO_LARGE' : undefined
}

/** Reads a request, finds out who sent it, and asks the current table where it goes. Takes the table once. */
export function takeIn(request: ClientRequest, listener: Listener, deps: ProxyDeps): Intake {
  const headers = receivedHeaders(request)
  const peerIp = request.socket?.remoteAddress ?? ''
  const { clientIp, isTrustedPeer, proto } = deps.clientAddress(peerIp, headers)
  const scheme = proto ?? listener.scheme
  const trace = isTrustedPeer ? parseTraceparent(headers.get('traceparent')) : undefined
  const traceId = trace?.traceId ?? deps.newId(16)
  const sentId = isTrustedPeer ? headers.get('x-request-id') : undefined
  const authority = authorityOfRequest(request, headers)
  const method = request.method ?? ''
  const target = request.url ?? ''
  const table = deps.store.current()
  const roll = deps.random()
  const problem =
    table === undefined ? 'GW_GATEWAY_DRAINING' : limitProblem(request, target, headers, deps.limits)
  const decision: Decision =
    problem !== undefined || table === undefined
      ? { kind: 'refuse', code: problem ?? 'GW_GATEWAY_INTERNAL' }
      : decide(
          {
            method,
            target,
            authority,
            scheme,
            header: (name) => headers.get(name),
            clientIp,
            roll,
          },
          table,
        )
  const port = authority === undefined ? undefined : /:(\d{1,5})$/.exec(authority)?.[1]
  const host = decision.host ?? ''
  return {
    request,
    startedAt: deps.clock.now(),
    begunAt: deps.clock.monotonic(),
    requestId: sentId !== undefined && REQUEST_ID.test(sentId) ? sentId : traceId,
    traceId,
    method,
    target,
    httpVersion: request.httpVersion,
    scheme,
    authority,
    clientHost: port === undefined ? host : `${host}:${port}`,
    peerIp: clientIp === peerIp || isTrustedPeer ? peerIp.replace(/^::ffff:(?=\d+\.)/, '') : clientIp,
    clientIp,
    isTrustedPeer,
    headers,
    userAgent: headers.get('user-agent'),
    table,
    decision,
    roll,
    traceFlags: trace?.flags ?? '01',
  }
}

/** A client must not say what only a filter may; `x_user` is `x-user` to services that read headers as CGI does. */
function dropOwned(headers: Headers, owned: ReadonlySet<string>): void {
  if (owned.size === 0) return
  const isOwned = (name: string) =>
    owned.has(name) || (name.includes('_') && owned.has(name.replaceAll('_', '-')))
  if (!headers.names().some(isOwned)) return
  for (const name of new Set(headers.names())) if (isOwned(name)) headers.delete(name)
}

/** Browsers send cookies to every port of a host: who is signed in at the admin side is nothing for services. */
function dropSession(headers: Headers): void {
  const cookie = headers.get('cookie')
  if (cookie === undefined || !cookie.includes(SESSION_COOKIE)) return
  const rest = withoutSession(cookie)
  if (rest === undefined) headers.delete('cookie')
  else headers.set('cookie', rest)
}

/**
 * Turns the received headers into those that go upstream: hop-by-hop ones gone, forwarding headers and trace
 * context written. Throws GW_REQUEST_MALFORMED and GW_REQUEST_MEDIA_TYPE.
 */
export function prepareHeaders(intake: Intake, listener: Listener, deps: ProxyDeps): void {
  const { headers } = intake
  checkContentType(headers, deps.limits.contentTypes)
  cleanRequestHeaders(headers, intake.httpVersion)
  dropOwned(headers, deps.chains.ownedHeaders)
  dropSession(headers)
  // Whoever sees it could ask for explanations as well.
  headers.delete(DEBUG_HEADER)
  // A stranger must not choose its version.
  if (!intake.isTrustedPeer && intake.table !== undefined) dropOwned(headers, intake.table.canaries.headers)
  setForwarded(headers, {
    peerIp: intake.peerIp,
    clientIp: intake.clientIp,
    isTrustedPeer: intake.isTrustedPeer,
    scheme: intake.scheme,
    host: intake.clientHost,
    port: listener.port,
  })
  headers.set('traceparent', `00-${intake.traceId}-${deps.newId(8)}-${intake.traceFlags}`)
  if (!intake.isTrustedPeer) {
    headers.delete('tracestate')
    // An outer gateway may say which try this is; a stranger may not switch our retries off.
    headers.delete('x-sluice-attempt')
    // A service may do less for a copy: a stranger may not call a request one.
    headers.delete('x-sluice-mirror')
  }
}

/** The part of a record that is known from the start. `query`: as filters left it; it may have held a token. */
export function recordHead(intake: Intake, query: string | undefined) {
  const { decision } = intake
  const isRouted = decision.kind === 'route'
  return {
    requestId: intake.requestId,
    traceId: intake.traceId,
    startedAt: intake.startedAt,
    method: intake.method,
    scheme: intake.scheme,
    httpVersion: intake.httpVersion,
    host: decision.host ?? '',
    path: decision.path ?? '',
    query: isRouted ? (query ?? decision.query) : '',
    clientIp: intake.clientIp,
    userAgent: intake.userAgent,
    route: isRouted ? decision.route.spec.name : undefined,
    service: isRouted ? decision.serviceName : undefined,
    tableVersion: intake.table?.version,
  }
}
