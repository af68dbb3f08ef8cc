import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect as connectTcp, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import type { Clock } from '../core/duration.ts'
import { type ErrorCode, errorText, GatewayError } from '../core/errors.ts'
import type { Headers } from '../core/headers.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Instance } from '../core/types.ts'
import { effectiveRetries, effectiveTimeouts } from '../routing/explain.ts'
import type { Routed } from '../routing/table.ts'
import { fieldsForTry, upstreamHost } from './hop-headers.ts'
import type { LiveUpstream } from './live-upstream.ts'
import { classifyFailure } from './retry.ts'
import { serverNameFor, tlsOptions } from './transport.ts'
import type { Upstreams } from './upstreams.ts'

/** An upgrade on its way: what `openUpgrade` needs. */
export interface UpgradeRequest {
  readonly routed: Routed
  readonly method: string
  /** Cleaned and edited, without `Connection` and `Upgrade`. */
  readonly headers: Headers
  /** The token(s) the client asked for, e.g. `websocket`. */
  readonly protocol: string
  readonly clientHost: string
  readonly clientIp: string
  /** Aborts when the client leaves. */
  readonly signal: AbortSignal
}

/** What the instance answered. */
export interface UpgradeAnswer {
  readonly upstream: LiveUpstream
  readonly response: IncomingMessage
  /** Set when the instance switched protocols; else `response` is an ordinary answer with a body. */
  readonly socket?: Duplex
  /** First bytes after the switch. */
  readonly head?: Buffer
}

/** One try at one instance. ms. */
export interface UpgradeTry {
  readonly instance: Instance
  readonly ms: number
  readonly status: number | undefined
  readonly outcome: Outcome
}

export interface UpgradeResult {
  readonly tries: readonly UpgradeTry[]
  readonly answer?: UpgradeAnswer
  /** Set when there is no answer. */
  readonly code?: ErrorCode
  readonly outcome: Outcome
}

function connectTo(upstream: LiveUpstream, host: string, timeoutMs: number): Promise<Socket> {
  const { instance, policy } = upstream
  return new Promise((resolve, reject) => {
    const place = { host: instance.address, port: instance.port }
    const servername = serverNameFor(instance, policy, host)
    const isSecure = instance.scheme === 'https'
    const socket = isSecure
      ? connectTls({
          ...place,
          ...tlsOptions(policy),
          ...(servername === undefined ? {} : { servername }),
          ALPNProtocols: ['http/1.1'],
        })
      : connectTcp(place)
    const timer = setTimeout(() => fail(new GatewayError('GW_UPSTREAM_CONNECT_TIMEOUT')), timeoutMs || 10_000)
    const fail = (error: Error) => {
      clearTimeout(timer)
      socket.destroy()
      reject(error)
    }
    socket.once('error', fail)
    socket.once(isSecure ? 'secureConnect' : 'connect', () => {
      clearTimeout(timer)
      socket.off('error', fail)
      socket.setNoDelay(true)
      socket.setKeepAlive(true, 60_000)
      resolve(socket)
    })
  })
}

/** Sends the upgrade over a connected socket; resolves with whatever the instance answers. */
function ask(
  upgrade: UpgradeRequest,
  upstream: LiveUpstream,
  socket: Socket,
  host: string,
  attempt: number,
  timeoutMs: number,
): Promise<UpgradeAnswer> {
  return new Promise((resolve, reject) => {
    const fields = fieldsForTry(upgrade.headers, host, undefined, attempt)
    fields.push('connection', 'Upgrade', 'upgrade', upgrade.protocol)
    const outgoing = httpRequest({
      createConnection: () => socket,
      method: upgrade.method,
      path: upgrade.routed.upstreamTarget ?? '/',
      headers: fields,
      setHost: false,
      signal: upgrade.signal,
    })
    const timer =
      timeoutMs === 0
        ? undefined
        : setTimeout(() => outgoing.destroy(new GatewayError('GW_UPSTREAM_TIMEOUT')), timeoutMs)
    outgoing.on('upgrade', (response, switched, head) => {
      clearTimeout(timer)
      resolve({ upstream, response, socket: switched, head })
    })
    outgoing.on('response', (response) => {
      clearTimeout(timer)
      resolve({ upstream, response })
    })
    outgoing.on('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    outgoing.end()
  })
}

function connectFailureOf(thrown: unknown): { code: ErrorCode; outcome: Outcome } {
  if (thrown instanceof GatewayError) return { code: thrown.code, outcome: 'connect_timeout' }
  const { code, outcome } = classifyFailure(thrown, { wasWritten: false, wasAnswered: false })
  return { code, outcome }
}

/**
 * Picks an instance, connects, and asks it to switch protocols. A failed connect goes on to the next instance;
 * once the request was sent there is no second try. On success the instance is counted in (`Upstreams.begin`):
 * the caller counts it out. Never rejects.
 */
export async function openUpgrade(
  upgrade: UpgradeRequest,
  upstreams: Upstreams,
  clock: Clock,
): Promise<UpgradeResult> {
  const { routed, headers, clientIp } = upgrade
  const timeouts = effectiveTimeouts(routed)
  const { attempts: allowed, on } = effectiveRetries(routed)
  const attempts = on.includes('connect-failure') ? allowed : 0
  const { action } = routed.route.spec
  const mode = action.kind === 'proxy' ? action.host : 'preserve'
  const tried = new Set<string>()
  const tries: UpgradeTry[] = []
  let last: { code: ErrorCode; outcome: Outcome } = {
    code: 'GW_UPSTREAM_NO_INSTANCE',
    outcome: 'no_instance',
  }
  // A refused connect is no work for anybody: it does not use up a try while others are left.
  for (let attempt = 0, failed = 0; failed <= attempts; attempt++) {
    if (upgrade.signal.aborted) return { tries, outcome: 'client_gone' }
    const blockedMs = upstreams.health.blockedForMs(routed)
    if (blockedMs > 0 && tries.length === 0) {
      return { tries, code: 'GW_UPSTREAM_BREAKER_OPEN', outcome: 'breaker_open' }
    }
    const upstream = blockedMs > 0 ? undefined : upstreams.pick({ routed, tried, headers, clientIp })
    if (upstream === undefined) break
    if (upstream.isFull) return { tries, code: 'GW_UPSTREAM_OVERFLOW', outcome: 'overflow' }
    tried.add(upstream.key)
    const { instance } = upstream
    const host = upstreamHost(mode, upgrade.clientHost, instance)
    const startedAt = clock.monotonic()
    const note = (status: number | undefined, outcome: Outcome) =>
      tries.push({ instance, ms: clock.monotonic() - startedAt, status, outcome })
    const mark = upstreams.begin(upstream, startedAt)
    let socket: Socket
    try {
      socket = await connectTo(upstream, host, timeouts.connectMs)
    } catch (thrown) {
      upstreams.health.connectFailed(upstream, errorText(thrown), mark)
      upstreams.end(upstream, mark)
      last = connectFailureOf(thrown)
      if (last.outcome !== 'connect_failed' || attempts === 0) failed++
      note(undefined, last.outcome)
      continue
    }
    try {
      const answer = await ask(upgrade, upstream, socket, host, attempt + 1, timeouts.headersMs)
      upstreams.health.answered(upstream, answer.response.statusCode ?? 0, mark)
      // The tunnel may be open for hours: it is no probe any more.
      upstreams.endProbe(upstream, mark)
      note(answer.response.statusCode, 'ok')
      return { tries, answer, outcome: 'ok' }
    } catch (thrown) {
      socket.destroy()
      const isTimeout = thrown instanceof GatewayError && thrown.code === 'GW_UPSTREAM_TIMEOUT'
      const outcome = upgrade.signal.aborted ? 'client_gone' : isTimeout ? 'header_timeout' : 'reset'
      if (outcome !== 'client_gone') {
        upstreams.health.faulted(upstream, isTimeout ? 'no answer in time' : errorText(thrown), mark)
      }
      upstreams.end(upstream, mark)
      note(undefined, outcome)
      if (outcome === 'client_gone') return { tries, outcome }
      return { tries, outcome, code: isTimeout ? 'GW_UPSTREAM_TIMEOUT' : 'GW_UPSTREAM_RESET' }
    }
  }
  return { tries, ...last }
}
