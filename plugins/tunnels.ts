import type { Duplex } from 'node:stream'
import { type ErrorCode, errorEntry, errorText, GatewayError } from '../src/core/errors.ts'
import type { Outcome } from '../src/core/outcome.ts'
import type { RequestRecord } from '../src/core/record.ts'
import type { FilterContext } from '../src/filters/filter.ts'
import { type LocalAnswer, renderReply } from '../src/filters/reply.ts'
import { type Chain, EMPTY_CHAIN, endChain, runInbound } from '../src/filters/runner.ts'
import type { ClientRequest } from '../src/proxy/client-side.ts'
import { FrameTracker, GOING_AWAY } from '../src/proxy/frame-tracker.ts'
import type { Stream } from '../src/proxy/live-upstream.ts'
import { authorityOf } from '../src/proxy/transport.ts'
import { openUpgrade, type UpgradeAnswer, type UpgradeResult } from '../src/proxy/tunnel.ts'
import { effectiveTimeouts } from '../src/routing/explain.ts'
import type { Routed } from '../src/routing/table.ts'
import { createFilterContext, filterFindings } from './filter-context.ts'
import { type Intake, type Listener, type ProxyDeps, prepareHeaders, recordHead, takeIn } from './intake.ts'
import { actionAnswer, applyEdits, problemAnswer } from './local-answer.ts'
import { canaryFinding, chooseSide, type Sided } from './release-side.ts'
import type { Tracing } from './tracing.ts'
import { endSoon, headText, limitIdle, onHangUp, rawHead } from './tunnel-wire.ts'

/** An upgrade that nobody can answer now may be tried again after this. s. */
const UNAVAILABLE_RETRY_S = 2

/** One upgrade on its way. */
interface Passage {
  readonly intake: Intake
  /** Once it comes to filters. */
  filtered?: { readonly chain: Chain; readonly ctx: FilterContext }
  /** Somebody wants to know what becomes of it. */
  readonly trace: Tracing | undefined
  /** Once its version is decided. */
  sided?: Sided | undefined
}

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
    const passage: Passage = { intake, trace: this.#deps.debug?.begin(intake) }
    this.#walk(passage, protocol, socket, head, listener, abort.signal).catch((thrown: unknown) => {
      const code = thrown instanceof GatewayError ? thrown.code : 'GW_GATEWAY_INTERNAL'
      const isOurs = errorEntry(code).status >= 400
      if (!isOurs || code === 'GW_GATEWAY_INTERNAL') {
        this.#deps.log.warn({ requestId: intake.requestId, err: errorText(thrown) }, 'an upgrade failed')
      }
      this.#refuse(passage, socket, isOurs ? code : 'GW_GATEWAY_INTERNAL')
    })
  }

  async #walk(
    passage: Passage,
    protocol: string,
    socket: Duplex,
    head: Buffer,
    listener: Listener,
    signal: AbortSignal,
  ): Promise<void> {
    const { intake } = passage
    const { decision, headers } = intake
    if (decision.kind === 'refuse') {
      this.#refuse(passage, socket, decision.code, decision.allow)
      return
    }
    // A body before the switch would be taken for the new protocol's first bytes.
    if (headers.has('transfer-encoding') || (headers.get('content-length') ?? '0') !== '0') {
      this.#refuse(passage, socket, 'GW_REQUEST_MALFORMED')
      return
    }
    const shed = this.#deps.overload?.refuses(decision.route.spec, headers)
    if (shed !== undefined) {
      this.#refuse(passage, socket, 'GW_GATEWAY_OVERLOADED', undefined, undefined, shed.retryAfterSeconds)
      return
    }
    prepareHeaders(intake, listener, this.#deps)
    const refusal = await this.#filter(passage, decision, socket, signal)
    if (signal.aborted) {
      this.#record(passage, 499, 'client_gone', undefined)
      return
    }
    if (refusal !== undefined) {
      this.#answer(passage, socket, refusal.answer, refusal.outcome, refusal.code)
      return
    }
    const routed = passage.filtered?.ctx.decision ?? decision
    const { action, requestHeaders } = routed.route.spec
    if (action.kind !== 'proxy') {
      const outcome = action.kind === 'redirect' ? 'redirect' : 'fixed_response'
      this.#answer(passage, socket, actionAnswer(action, routed, intake), outcome, undefined)
      return
    }
    if (routed.service === undefined) {
      this.#refuse(passage, socket, 'GW_UPSTREAM_UNKNOWN_SERVICE')
      return
    }
    const { trace } = passage
    const { principal } = passage.filtered?.ctx ?? {}
    passage.sided = chooseSide(intake, routed, principal, this.#deps.newId, trace?.steps)
    trace?.decided(passage.sided?.decision)
    applyEdits(headers, requestHeaders)
    const { method, clientHost, clientIp } = intake
    const result = await openUpgrade(
      { routed: passage.sided?.routed ?? routed, method, headers, protocol, clientHost, clientIp, signal },
      this.#deps.upstreams,
      this.#deps.clock,
    )
    if (result.answer !== undefined) this.#connect(passage, routed, socket, head, result.answer, result)
    else if (result.code === undefined) this.#record(passage, 499, result.outcome, undefined, result)
    else this.#refuse(passage, socket, result.code, undefined, result)
  }

  async #filter(
    passage: Passage,
    routed: Routed,
    socket: Duplex,
    signal: AbortSignal,
  ): Promise<{ answer: LocalAnswer; code: ErrorCode | undefined; outcome: Outcome } | undefined> {
    const { intake } = passage
    const chain = this.#deps.chains.chainFor(routed.route.spec)
    if (chain === EMPTY_CHAIN) return undefined
    const ctx = createFilterContext(intake, routed, 0, 0)
    ctx.trace = passage.trace
    passage.filtered = { chain, ctx }
    // What a filter holds for this request must not wait for that filter.
    const leave = () => this.#end(passage, 499, 'client_gone')
    signal.addEventListener('abort', leave)
    const verdict = runInbound(chain, ctx)
    const stop = verdict instanceof Promise ? onHangUp(socket, () => socket.destroy()) : () => {}
    const reply = await verdict
    stop()
    signal.removeEventListener('abort', leave)
    if (reply === undefined || signal.aborted) return undefined
    const { code } = reply
    const outcome = (code === undefined ? undefined : errorEntry(code).outcome) ?? 'filter_refused'
    return { answer: renderReply(reply, intake.requestId), code, outcome }
  }

  #connect(
    passage: Passage,
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
      this.#record(passage, response.statusCode ?? 0, outcome, undefined, result, counted)
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
    const cookies = passage.sided?.decision.cookies ?? []
    client.write(rawHead(response.statusCode ?? 0, response.statusMessage ?? '', answer, cookies), 'latin1')
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
    passage: Passage,
    socket: Duplex,
    code: ErrorCode,
    allow?: readonly string[],
    result?: UpgradeResult,
    retryAfterSeconds = UNAVAILABLE_RETRY_S,
  ): void {
    const { status, outcome } = errorEntry(code)
    const extra = {
      ...(allow === undefined ? {} : { allow }),
      ...(status === 503 ? { retryAfterSeconds } : {}),
    }
    const answer = problemAnswer({ status, code }, passage.intake.requestId, extra)
    this.#answer(passage, socket, answer, result?.outcome ?? outcome ?? 'internal', code, result)
  }

  #answer(
    passage: Passage,
    socket: Duplex,
    { status, headers, body }: LocalAnswer,
    outcome: Outcome,
    code: ErrorCode | undefined,
    result?: UpgradeResult,
  ): void {
    if (passage.trace !== undefined) {
      passage.trace.code = code
      passage.trace.answering(status, headers)
    }
    headers.set('connection', 'close')
    if (socket.writable) {
      socket.write(headText(status, '', headers.raw()), 'latin1')
      endSoon(socket, body)
    } else {
      socket.destroy()
    }
    this.#record(passage, status, outcome, code, result, { in: 0, out: body.length })
  }

  #end(passage: Passage, status: number, outcome: Outcome, result?: UpgradeResult): void {
    if (passage.filtered === undefined) return
    const { chain, ctx } = passage.filtered
    const totalMs = this.#deps.clock.monotonic() - passage.intake.begunAt
    const tries = result?.tries ?? []
    const upstreamMs = tries.at(-1)?.ms
    endChain(chain, ctx, { outcome, status, totalMs, upstreamMs, attempts: tries.length })
  }

  #record(
    passage: Passage,
    status: number,
    outcome: Outcome,
    code: ErrorCode | undefined,
    result?: UpgradeResult,
    counted: { in: number; out: number } = { in: 0, out: 0 },
  ): void {
    const { intake } = passage
    const last = result?.tries.at(-1)
    const record: RequestRecord = {
      ...recordHead(intake, passage.filtered?.ctx.decision.query),
      ...filterFindings(passage.filtered?.ctx),
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
      canary: canaryFinding(passage.sided, result?.tries),
    }
    this.#deps.onRecord(record)
    passage.trace?.over(record)
    this.#end(passage, status, outcome, result)
  }
}
