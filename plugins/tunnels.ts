import type { Duplex } from 'node:stream'
import { type ErrorCode, errorEntry, errorText, GatewayError } from '../src/core/errors.ts'
import type { Outcome } from '../src/core/outcome.ts'
import { type LocalAnswer, renderReply } from '../src/filters/reply.ts'
import { EMPTY_CHAIN, runInbound } from '../src/filters/runner.ts'
import type { ClientRequest } from '../src/proxy/client-side.ts'
import { FrameTracker, GOING_AWAY } from '../src/proxy/frame-tracker.ts'
import type { Stream } from '../src/proxy/live-upstream.ts'
import { authorityOf } from '../src/proxy/transport.ts'
import { openUpgrade, type UpgradeAnswer, type UpgradeResult } from '../src/proxy/tunnel.ts'
import { effectiveTimeouts } from '../src/routing/explain.ts'
import type { Routed } from '../src/routing/table.ts'
import { createFilterContext } from './filter-context.ts'
import { type Intake, type Listener, type ProxyDeps, prepareHeaders, recordHead, takeIn } from './intake.ts'
import { actionAnswer, applyEdits, problemAnswer } from './local-answer.ts'
import { endSoon, headText, limitIdle, rawHead } from './tunnel-wire.ts'

/** WebSockets and other upgrades: filters, pick, connect, the instance's answer unchanged, bytes both ways. */
export class Tunnels {
  readonly #deps: ProxyDeps
  readonly #open = new Set<Stream>()
  #isLeaving = false

  constructor(deps: ProxyDeps) {
    this.#deps = deps
  }

  get size(): number {
    return this.#open.size
  }

  /** Asks all to end, WebSockets with close code 1001; also those that an instance has still to agree to. */
  goAway(): void {
    this.#isLeaving = true
    for (const tunnel of this.#open) tunnel.goAway()
  }

  destroy(): void {
    for (const tunnel of this.#open) tunnel.destroy()
  }

  /** Never throws: whatever goes wrong is answered on the socket. */
  open(request: ClientRequest, socket: Duplex, head: Buffer, listener: Listener): void {
    const abort = new AbortController()
    socket.on('error', () => {})
    socket.on('close', () => abort.abort())
    const protocol = request.headers.upgrade ?? ''
    const intake = takeIn(request, listener, this.#deps)
    this.#walk(intake, protocol, socket, head, listener, abort.signal).catch((thrown: unknown) => {
      const code = thrown instanceof GatewayError ? thrown.code : 'GW_GATEWAY_INTERNAL'
      const isOurs = errorEntry(code).status >= 400
      if (!isOurs || code === 'GW_GATEWAY_INTERNAL') {
        this.#deps.log.warn({ requestId: intake.requestId, err: errorText(thrown) }, 'an upgrade failed')
      }
      this.#refuse(intake, socket, isOurs ? code : 'GW_GATEWAY_INTERNAL')
    })
  }

  async #walk(
    intake: Intake,
    protocol: string,
    socket: Duplex,
    head: Buffer,
    listener: Listener,
    signal: AbortSignal,
  ): Promise<void> {
    const { decision, headers } = intake
    if (decision.kind === 'refuse') {
      this.#refuse(intake, socket, decision.code, decision.allow)
      return
    }
    // A body before the switch would be taken for the new protocol's first bytes.
    if (headers.has('transfer-encoding') || (headers.get('content-length') ?? '0') !== '0') {
      this.#refuse(intake, socket, 'GW_REQUEST_MALFORMED')
      return
    }
    prepareHeaders(intake, listener, this.#deps)
    const refusal = await this.#filter(intake, decision)
    if (refusal !== undefined) {
      this.#answer(intake, socket, refusal.answer, 'filter_refused', refusal.code)
      return
    }
    const { action, requestHeaders } = decision.route.spec
    if (action.kind !== 'proxy') {
      const outcome = action.kind === 'redirect' ? 'redirect' : 'fixed_response'
      this.#answer(intake, socket, actionAnswer(action, decision, intake), outcome, undefined)
      return
    }
    if (decision.service === undefined) {
      this.#refuse(intake, socket, 'GW_UPSTREAM_UNKNOWN_SERVICE')
      return
    }
    applyEdits(headers, requestHeaders)
    const { method, clientHost, clientIp } = intake
    const result = await openUpgrade(
      { routed: decision, method, headers, protocol, clientHost, clientIp, signal },
      this.#deps.upstreams,
      this.#deps.clock,
    )
    if (result.answer !== undefined) this.#connect(intake, decision, socket, head, result.answer, result)
    else if (result.code === undefined) this.#record(intake, 499, result.outcome, undefined, result)
    else this.#refuse(intake, socket, result.code, undefined, result)
  }

  async #filter(
    intake: Intake,
    routed: Routed,
  ): Promise<{ answer: LocalAnswer; code: ErrorCode | undefined } | undefined> {
    const chain = this.#deps.chains.chainFor(routed.route.spec)
    if (chain === EMPTY_CHAIN) return undefined
    const ctx = createFilterContext(intake, routed, 0, 0)
    const reply = await runInbound(chain, ctx)
    return reply === undefined
      ? undefined
      : { answer: renderReply(reply, intake.requestId), code: reply.code }
  }

  #connect(
    intake: Intake,
    routed: Routed,
    client: Duplex,
    head: Buffer,
    answer: UpgradeAnswer,
    result: UpgradeResult,
  ): void {
    const { response, socket: upstream } = answer
    const counted = { in: head.length, out: 0 }
    let isOver = false
    const finish = (outcome: Outcome) => {
      if (isOver) return
      isOver = true
      this.#open.delete(tunnel)
      this.#deps.upstreams.detach(answer.upstream, tunnel)
      this.#deps.upstreams.end(answer.upstream)
      this.#record(intake, response.statusCode ?? 0, outcome, undefined, result, counted)
    }
    const tunnel: Stream = {
      goAway: () => {
        // A refusal of the instance is an answer like any other: it may finish.
        if (upstream !== undefined) endSoon(client)
      },
      destroy: () => {
        client.destroy()
        upstream?.destroy()
        finish('draining')
      },
    }
    this.#open.add(tunnel)
    if (client.destroyed) {
      tunnel.destroy()
      return
    }
    client.write(rawHead(response.statusCode ?? 0, response.statusMessage ?? '', answer), 'latin1')
    client.on('close', () => {
      upstream?.destroy()
      response.destroy()
      finish('ok')
    })
    if (upstream === undefined) {
      response.on('data', (chunk: Buffer) => {
        counted.out += chunk.length
      })
      // Broken off: the client must not take it for complete.
      response.on('error', () => client.destroy()).on('end', () => endSoon(client))
      response.pipe(client, { end: false })
      return
    }
    if (answer.head !== undefined && answer.head.length > 0) {
      counted.out += answer.head.length
      client.write(answer.head)
    }
    if (head.length > 0) upstream.write(head)
    const isWebSocket = response.headers.upgrade?.toLowerCase() === 'websocket'
    if (isWebSocket) this.#makePolite(tunnel, client, upstream, answer.head)
    upstream.on('data', (chunk: Buffer) => {
      counted.out += chunk.length
    })
    client.on('data', (chunk: Buffer) => {
      counted.in += chunk.length
    })
    upstream.on('error', () => client.destroy())
    upstream.on('close', () => endSoon(client))
    limitIdle(client, upstream, effectiveTimeouts(routed).idleMs, () => finish('idle_timeout'))
    client.pipe(upstream)
    upstream.pipe(client)
    this.#deps.upstreams.attach(answer.upstream, tunnel)
    if (this.#isLeaving) tunnel.goAway()
  }

  #makePolite(tunnel: Stream, client: Duplex, upstream: Duplex, head: Buffer | undefined): void {
    const tracker = new FrameTracker()
    if (head !== undefined) tracker.push(head)
    let isLeaving = false
    const leave = () => {
      upstream.unpipe(client)
      client.unpipe(upstream)
      client.end(GOING_AWAY)
      upstream.end()
      // The client's own close frame has nowhere to go, but unread it would keep the connection open.
      client.resume()
      upstream.resume()
    }
    upstream.on('data', (chunk: Buffer) => {
      tracker.push(chunk)
      // After this chunk is piped on.
      if (isLeaving && tracker.isBetweenFrames) queueMicrotask(leave)
    })
    tunnel.goAway = () => {
      if (isLeaving) return
      isLeaving = true
      if (tracker.isBetweenFrames) leave()
    }
  }

  #refuse(
    intake: Intake,
    socket: Duplex,
    code: ErrorCode,
    allow?: readonly string[],
    result?: UpgradeResult,
  ): void {
    const { status, outcome } = errorEntry(code)
    const extra = {
      ...(allow === undefined ? {} : { allow }),
      ...(status === 503 ? { retryAfterSeconds: 2 } : {}),
    }
    const answer = problemAnswer({ status, code }, intake.requestId, extra)
    this.#answer(intake, socket, answer, result?.outcome ?? outcome ?? 'internal', code, result)
  }

  #answer(
    intake: Intake,
    socket: Duplex,
    { status, headers, body }: LocalAnswer,
    outcome: Outcome,
    code: ErrorCode | undefined,
    result?: UpgradeResult,
  ): void {
    headers.set('connection', 'close')
    if (socket.writable) {
      socket.write(headText(status, '', headers.raw()), 'latin1')
      endSoon(socket, body)
    } else {
      socket.destroy()
    }
    this.#record(intake, status, outcome, code, result, { in: 0, out: body.length })
  }

  #record(
    intake: Intake,
    status: number,
    outcome: Outcome,
    code: ErrorCode | undefined,
    result?: UpgradeResult,
    counted: { in: number; out: number } = { in: 0, out: 0 },
  ): void {
    const last = result?.tries.at(-1)
    this.#deps.onRecord({
      ...recordHead(intake),
      status,
      outcome,
      code,
      instanceKey: last?.instance.key,
      instanceAddress: last === undefined ? undefined : authorityOf(last.instance),
      version: last?.instance.version,
      attempts:
        result?.tries.map(({ instance, ms, status: answered, outcome: how }) => ({
          instanceKey: instance.key,
          status: answered,
          outcome: how,
          ms,
        })) ?? [],
      bytesIn: counted.in,
      bytesOut: counted.out,
      totalMs: this.#deps.clock.monotonic() - intake.begunAt,
      upstreamMs: last?.ms,
      filterMs: 0,
      isUpgrade: true,
    })
  }
}
