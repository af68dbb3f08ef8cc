import { type ErrorCode, errorEntry, errorText, GatewayError } from '../src/core/errors.ts'
import type { Headers } from '../src/core/headers.ts'
import type { Outcome } from '../src/core/outcome.ts'
import type { RequestRecord } from '../src/core/record.ts'
import type {
  BodyCheck,
  BodyNeed,
  FilterContext,
  FilterReply,
  ResponseContext,
} from '../src/filters/filter.ts'
import { type LocalAnswer, renderReply } from '../src/filters/reply.ts'
import { type Chain, EMPTY_CHAIN, endChain, runInbound, runOutbound } from '../src/filters/runner.ts'
import type { ShapeDraft } from '../src/preview/recorder.ts'
import { type ClientRequest, type ClientResponse, declaredLength, isHttp2 } from '../src/proxy/client-side.ts'
import type { ForwardResult, ResponseSink } from '../src/proxy/exchange.ts'
import { forward } from '../src/proxy/forward.ts'
import { authorityOf } from '../src/proxy/transport.ts'
import type { Routed } from '../src/routing/table.ts'
import { ClientAnswer } from './client-answer.ts'
import { ClientBody } from './client-body.ts'
import { ClientDeparture } from './client-departure.ts'
import type { ExchangeWatch } from './exchange-watch.ts'
import { createFilterContext, filterFindings } from './filter-context.ts'
import { type Intake, type Listener, type ProxyDeps, prepareHeaders, recordHead, takeIn } from './intake.ts'
import { actionAnswer, applyEdits, problemAnswer } from './local-answer.ts'
import { canaryFinding, chooseSide, giveCookies, noteAnswer, type Sided } from './release-side.ts'
import type { Tracing } from './tracing.ts'
import { WithheldAnswer } from './withheld-answer.ts'

/** A request without instances to answer it may be tried again after this. s. */
const UNKNOWN_SERVICE_RETRY_S = 2

/** The way of one request through the gateway; also the sink of its answer. */
export class RequestWalk implements ResponseSink {
  readonly #response: ClientResponse
  readonly #listener: Listener
  readonly #deps: ProxyDeps
  readonly #intake: Intake
  readonly #answer: ClientAnswer
  readonly #departure = new ClientDeparture()
  readonly #body: ClientBody
  #chain: Chain = EMPTY_CHAIN
  #ctx: FilterContext | undefined
  #watch: ExchangeWatch | undefined
  readonly #draft: ShapeDraft | undefined
  #isAnswerWhole = false
  #filterMs = 0
  /** Filters judge the beginning of the answer's body first. */
  #withheld: WithheldAnswer | undefined
  /** What comes behind a withheld body. */
  #withheldEnd: { readonly trailers: Headers | undefined } | undefined
  /** Which version of the service, where it has several. */
  #sided: Sided | undefined
  /** A local answer took the place of the upstream's. */
  #isReplaced = false
  #isRecorded = false
  /** Inbound filters are at work, or wait. */
  #isFiltering = false
  /** Somebody wants to know what becomes of it. */
  readonly #trace: Tracing | undefined

  constructor(
    request: ClientRequest,
    response: ClientResponse,
    wantsContinue: boolean,
    listener: Listener,
    deps: ProxyDeps,
  ) {
    this.#response = response
    this.#listener = listener
    this.#deps = deps
    this.#intake = takeIn(request, listener, deps)
    this.#draft = deps.recorder?.begin(this.#intake)
    this.#trace = deps.debug?.begin(this.#intake)
    this.#answer = new ClientAnswer(request, response, this.#intake, deps, this.#trace)
    const length = declaredLength(request, this.#intake.headers)
    this.#body = new ClientBody(request, response, {
      length,
      wantsContinue,
      onOverLimit: () => this.#departure.abort(),
    })
    response.on('close', this.#onClose)
    response.on('error', () => {})
  }

  readonly #onClose = (): void => {
    const response = this.#response
    // Over HTTP/2 a cancelled stream is "finished", too.
    const isWhole = isHttp2(response) ? response.writableEnded : response.writableFinished
    if (isWhole) return
    this.#departure.abort()
    // What a filter holds for this request must not wait for that filter.
    if (this.#isFiltering) this.#record('client_gone', undefined)
  }

  start(): void {
    try {
      const { decision } = this.#intake
      if (decision.kind === 'refuse') {
        this.#refuse(decision.code, {
          ...(decision.detail === undefined ? {} : { detail: decision.detail }),
          ...(decision.allow === undefined ? {} : { allow: decision.allow }),
        })
        return
      }
      const shed = this.#deps.overload?.refuses(decision.route.spec, this.#intake.headers)
      if (shed !== undefined) {
        this.#refuse('GW_GATEWAY_OVERLOADED', shed)
        return
      }
      prepareHeaders(this.#intake, this.#listener, this.#deps)
      this.#enter(decision)
    } catch (thrown) {
      this.#fail(thrown)
    }
  }

  /** Limits and filters. */
  #enter(routed: Routed): void {
    const { spec } = routed.route
    this.#chain = this.#deps.chains.chainFor(spec)
    const maxBodyBytes = spec.maxBodyBytes ?? this.#deps.limits.bodyBytes
    if (this.#chain !== EMPTY_CHAIN) {
      const readsBody = this.#chain.needsBody && this.#body.length !== 0
      const readBody = readsBody ? (need: BodyNeed) => this.#readBody(need) : undefined
      this.#ctx = createFilterContext(this.#intake, routed, this.#body.length, maxBodyBytes, readBody)
      this.#ctx.trace = this.#trace
    }
    if (maxBodyBytes > 0 && this.#body.length !== undefined && this.#body.length > maxBodyBytes) {
      this.#refuse('GW_REQUEST_BODY_TOO_LARGE')
      return
    }
    if (this.#ctx === undefined) this.#act(routed, maxBodyBytes)
    else this.#filter(this.#ctx)
  }

  /** For a filter: as much of the body as it wants to see. Throws GW_REQUEST_BODY_TOO_LARGE and what `read` throws. */
  async #readBody({ maxBytes, whenLarger }: BodyNeed): Promise<void> {
    const ctx = this.#ctx as FilterContext
    const most = ctx.maxBodyBytes ?? Number.POSITIVE_INFINITY
    const limit = whenLarger === 'refuse' ? Math.min(maxBytes, most) : most
    if ((this.#body.length ?? 0) > limit) throw new GatewayError('GW_REQUEST_BODY_TOO_LARGE')
    const { idleTimeout } = this.#deps.limits
    const { bytes, isWhole } = await this.#body.read(Math.min(maxBytes, most), idleTimeout)
    if (bytes.length > limit) throw new GatewayError('GW_REQUEST_BODY_TOO_LARGE')
    ctx.body = bytes
    ctx.isBodyWhole = isWhole
  }

  #filter(ctx: FilterContext): void {
    const { clock } = this.#deps
    const before = clock.monotonic()
    this.#isFiltering = true
    const verdict = runInbound(this.#chain, ctx)
    if (!(verdict instanceof Promise)) {
      this.#filterMs = clock.monotonic() - before
      this.#filtered(ctx, verdict)
      return
    }
    verdict.then(
      (reply) => {
        this.#filterMs = clock.monotonic() - before
        this.#filtered(ctx, reply)
      },
      (thrown: unknown) => this.#fail(thrown),
    )
  }

  #filtered(ctx: FilterContext, reply: FilterReply | undefined): void {
    this.#isFiltering = false
    if (this.#isRecorded) return
    try {
      if (reply === undefined) {
        this.#act(ctx.decision, ctx.maxBodyBytes ?? 0)
        return
      }
      const outcome = reply.code === undefined ? 'filter_refused' : errorEntry(reply.code).outcome
      this.#answerLocally(renderReply(reply, this.#intake.requestId), outcome ?? 'filter_refused', reply.code)
    } catch (thrown) {
      this.#fail(thrown)
    }
  }

  #act(routed: Routed, maxBodyBytes: number): void {
    const { action, requestHeaders } = routed.route.spec
    if (action.kind !== 'proxy') {
      const outcome = action.kind === 'redirect' ? 'redirect' : 'fixed_response'
      this.#answerLocally(actionAnswer(action, routed, this.#intake), outcome, undefined)
      return
    }
    if (routed.service === undefined) {
      this.#refuse('GW_UPSTREAM_UNKNOWN_SERVICE', { retryAfterSeconds: UNKNOWN_SERVICE_RETRY_S })
      return
    }
    const { newId } = this.#deps
    this.#sided = chooseSide(this.#intake, routed, this.#ctx?.principal, newId, this.#trace?.steps)
    this.#trace?.decided(this.#sided?.decision)
    applyEdits(this.#intake.headers, requestHeaders)
    const { requestId, method, headers, clientHost, clientIp, table } = this.#intake
    const body = this.#body.source(maxBodyBytes)
    this.#watch = this.#deps.watch?.({
      routed: this.#sided?.routed ?? routed,
      method,
      headers,
      clientHost,
      clientIp,
      table,
      body,
    })
    void forward(
      {
        routed: this.#sided?.routed ?? routed,
        requestId,
        method,
        headers,
        clientHost,
        clientIp,
        body,
        bodyTap: this.#watch?.bodyTap,
        sink: this,
        onTry: this.#trace?.onTry,
        signal: this.#departure,
      },
      this.#deps.upstreams,
      this.#deps,
    ).then((result) => this.#forwarded(result))
  }

  #forwarded(result: ForwardResult): void {
    this.#watch?.over(result, this.#isAnswerWhole)
    const withheld = this.#withheld
    if (withheld === undefined) this.#conclude(result)
    else void withheld.settled.then(() => this.#concludeWithheld(withheld, result))
  }

  #concludeWithheld({ refusal }: WithheldAnswer, result: ForwardResult): void {
    if (refusal !== undefined) {
      const outcome = refusal.code === undefined ? undefined : errorEntry(refusal.code).outcome
      const local = renderReply(refusal, this.#intake.requestId)
      this.#answerLocally(local, outcome ?? 'filter_refused', refusal.code, result)
    } else if (!this.#answer.hasHead && !this.#answer.isGone) {
      const code = result.outcome === 'deadline' ? 'GW_UPSTREAM_DEADLINE' : 'GW_UPSTREAM_RESET'
      this.#refuse(code, { result })
    } else {
      this.#conclude(result)
    }
  }

  #conclude(result: ForwardResult): void {
    if (this.#body.isOverLimit && !this.#answer.hasHead) {
      this.#refuse('GW_REQUEST_BODY_TOO_LARGE', { result })
    } else if (result.refuse !== undefined && !this.#answer.hasHead && !this.#answer.isGone) {
      const { code, retryAfterSeconds } = result.refuse
      this.#refuse(code, { result, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) })
    } else if (this.#isReplaced) {
      this.#record('filter_refused', undefined, result)
    } else {
      this.#record(result.outcome, undefined, result)
      this.#body.drop()
    }
  }

  informational(status: number, headers: Headers): void {
    this.#answer.informational(status, headers)
  }

  head(status: number, headers: Headers): void | Promise<void> {
    noteAnswer(this.#sided, headers)
    giveCookies(this.#sided, headers)
    this.#watch?.head(status, headers)
    if (!this.#chain.hasOutbound || this.#ctx === undefined) {
      this.#answer.head(status, headers)
      this.#answer.flushSoon()
      return
    }
    const answer: ResponseContext = { status, headers, isLocal: false, transforms: [], bodyChecks: [] }
    const replaced = runOutbound(this.#chain, this.#ctx, answer)
    if (replaced instanceof Promise) return replaced.then((reply) => this.#sendFiltered(answer, reply))
    this.#sendFiltered(answer, replaced)
  }

  #sendFiltered(answer: ResponseContext, reply: FilterReply | undefined): void {
    if (reply !== undefined) {
      this.#isReplaced = true
      const body = reply.body === undefined ? undefined : Buffer.from(reply.body)
      this.#answer.local(answer.status, answer.headers, body, false)
      // Not now: undici's parser is at work below us.
      queueMicrotask(() => this.#departure.abort())
      return
    }
    const isBodiless = this.#intake.method === 'HEAD' || answer.status === 204 || answer.status === 304
    const { bodyChecks = [] } = answer
    if (bodyChecks.length > 0 && !isBodiless) this.#withhold(answer, bodyChecks)
    else this.#sendHead(answer, isBodiless)
  }

  #sendHead(answer: ResponseContext, isBodiless: boolean): void {
    this.#answer.head(answer.status, answer.headers)
    if (isBodiless) for (const transform of answer.transforms) transform.destroy()
    else this.#answer.through(answer.transforms)
    this.#answer.flushSoon()
  }

  #withhold(answer: ResponseContext, checks: readonly BodyCheck[]): void {
    const withheld = new WithheldAnswer(checks, {
      open: () => this.#sendHead(answer, false),
      write: (chunk) => this.#answer.write(chunk),
      onDrain: (resume) => this.#answer.onDrain(resume),
    })
    this.#withheld = withheld
    void withheld.settled.then(() => {
      if (this.#answer.hasHead) {
        if (this.#withheldEnd !== undefined) this.#answer.end(this.#withheldEnd.trailers)
        return
      }
      for (const transform of answer.transforms) transform.destroy()
      // The rest of it is not wanted; what comes of the exchange is the end of this request.
      this.#departure.abort()
    })
  }

  get #isWithheld(): boolean {
    return this.#withheld?.isSettled === false
  }

  write(chunk: Buffer): boolean {
    this.#watch?.data(chunk)
    if (this.#isWithheld) return this.#withheld?.write(chunk) ?? true
    if (this.#withheld?.refusal !== undefined) return true
    return this.#isReplaced || this.#answer.write(chunk)
  }

  onDrain(resume: () => void): void {
    if (this.#isWithheld) this.#withheld?.onDrain(resume)
    else this.#answer.onDrain(resume)
  }

  end(trailers: Headers | undefined): void {
    this.#isAnswerWhole = true
    if (this.#isWithheld) {
      this.#withheldEnd = { trailers }
      this.#withheld?.end()
    } else if (!this.#isReplaced && this.#withheld?.refusal === undefined) {
      this.#answer.end(trailers)
    }
  }

  abort(): void {
    if (this.#isWithheld) this.#withheld?.drop()
    else if (!this.#isReplaced && this.#withheld?.refusal === undefined) this.#answer.breakOff()
  }

  #fail(thrown: unknown): void {
    if (this.#isRecorded) return
    if (this.#answer.isGone || (thrown instanceof GatewayError && thrown.code === 'GW_UPSTREAM_RESET')) {
      this.#record('client_gone', undefined)
      return
    }
    const isOurs = thrown instanceof GatewayError && errorEntry(thrown.code).status >= 400
    if (!isOurs) {
      this.#deps.log.warn({ requestId: this.#intake.requestId, err: errorText(thrown) }, 'a request failed')
    }
    if (this.#answer.hasHead) {
      this.#record('internal', 'GW_GATEWAY_INTERNAL')
      this.#answer.breakOff()
      return
    }
    this.#refuse(isOurs ? thrown.code : 'GW_GATEWAY_INTERNAL')
  }

  /** Answers with a problem document of the catalogue. */
  #refuse(
    code: ErrorCode,
    extra: {
      readonly detail?: string
      readonly allow?: readonly string[]
      readonly retryAfterSeconds?: number
      readonly result?: ForwardResult
    } = {},
  ): void {
    const { status, outcome } = errorEntry(code)
    const { detail } = extra
    const reply = { status, code, ...(detail === undefined ? {} : { detail }) }
    const answer = problemAnswer(reply, this.#intake.requestId, extra)
    this.#answerLocally(answer, extra.result?.outcome ?? outcome ?? 'internal', code, extra.result)
  }

  /** An answer of the gateway itself; the outbound filters see it, too. */
  #answerLocally(
    local: LocalAnswer,
    outcome: Outcome,
    code: ErrorCode | undefined,
    result?: ForwardResult,
  ): void {
    const over = this.#body.isOverLimit ? 'body_too_large' : outcome
    if (this.#ctx === undefined || !this.#chain.hasOutbound) {
      this.#sendLocal(local, over, code, result)
      return
    }
    const answer: ResponseContext = { ...local, isLocal: true, transforms: [] }
    const finish = (reply: FilterReply | undefined) => {
      const body = reply?.body === undefined ? local.body : Buffer.from(reply.body)
      this.#sendLocal({ status: answer.status, headers: answer.headers, body }, over, code, result)
    }
    const replaced = runOutbound(this.#chain, this.#ctx, answer)
    if (replaced instanceof Promise) void replaced.then(finish)
    else finish(replaced)
  }

  #sendLocal(
    { status, headers, body }: LocalAnswer,
    outcome: Outcome,
    code: ErrorCode | undefined,
    result: ForwardResult | undefined,
  ): void {
    if (this.#answer.isGone) {
      this.#record('client_gone', undefined, result)
      return
    }
    if (this.#trace !== undefined) this.#trace.code = code
    const { isUnread, isHeldBack } = this.#body
    if (isUnread) headers.set('connection', 'close')
    const isBodiless = this.#intake.method === 'HEAD'
    this.#answer.local(status, headers, isBodiless ? undefined : body, isUnread && !isHeldBack)
    this.#record(outcome, code, result)
  }

  #record(outcome: Outcome, code: ErrorCode | undefined, result?: ForwardResult): void {
    if (this.#isRecorded) return
    this.#isRecorded = true
    const isGone = outcome === 'client_gone'
    const last = result?.attempts.at(-1)
    const status = isGone ? 499 : this.#answer.status
    const totalMs = this.#deps.clock.monotonic() - this.#intake.begunAt
    const record: RequestRecord = {
      ...recordHead(this.#intake, this.#ctx?.decision.query),
      ...filterFindings(this.#ctx),
      status,
      outcome,
      code,
      instanceKey: last?.instance.key,
      instanceAddress: last === undefined ? undefined : authorityOf(last.instance),
      version: last?.instance.version,
      attempts:
        result?.attempts.map((attempt) => ({
          instanceKey: attempt.instance.key,
          status: attempt.status,
          outcome: attempt.outcome,
          ms: attempt.endedMs - attempt.startedMs,
        })) ?? [],
      bytesIn: result?.bytesSent ?? 0,
      bytesOut: this.#answer.bytesOut,
      totalMs,
      upstreamMs: result?.upstreamMs,
      filterMs: this.#filterMs,
      isUpgrade: false,
      canary: canaryFinding(this.#sided, result?.attempts),
    }
    this.#deps.onRecord(record)
    this.#trace?.over(record)
    if (this.#draft !== undefined) {
      this.#deps.recorder?.end(this.#draft, this.#intake, record, record.canary?.side)
    }
    if (this.#ctx !== undefined) {
      const { upstreamMs, attempts } = result ?? { upstreamMs: undefined, attempts: [] }
      endChain(this.#chain, this.#ctx, { outcome, status, totalMs, upstreamMs, attempts: attempts.length })
    }
  }
}
