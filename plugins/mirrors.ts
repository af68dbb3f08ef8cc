import { setImmediate as nextTurn } from 'node:timers/promises'
import { STABLE } from '../src/core/canary.ts'
import type { Clock, Random } from '../src/core/duration.ts'
import { errorText } from '../src/core/errors.ts'
import { withSpanId } from '../src/core/ids.ts'
import type { CompareSpec, MirrorSpec } from '../src/core/route.ts'
import type { Instance } from '../src/core/types.ts'
import { within } from '../src/core/within.ts'
import { compareAnswers, type Difference, type DifferenceKind } from '../src/mirror/compare.ts'
import { type MirrorResult, MirrorState, type MirrorView } from '../src/mirror/mirror-state.ts'
import type { CopyEnd, MirrorPause } from '../src/mirror/pause.ts'
import { drawInstance, notOfVersion, ofVersion, shadowHost } from '../src/mirror/target.ts'
import type { ForwardResult } from '../src/proxy/exchange.ts'
import { fieldsForTry, upstreamHost } from '../src/proxy/hop-headers.ts'
import { ShadowPools, type ShadowResult } from '../src/proxy/shadow.ts'
import { serverNameFor } from '../src/proxy/transport.ts'
import type { Service, Table } from '../src/routing/table.ts'
import { AnswerCopy, toAnswer } from './answer-copy.ts'
import { BodyCopy } from './body-copy.ts'
import type { ExchangeWatch, WatchedRequest } from './exchange-watch.ts'

export interface MirrorsDeps {
  readonly clock: Clock
  readonly random: Random
  /** Random hex digits for so many bytes. */
  newId(bytes: number): string
  readonly log: { warn(fields: object, text: string): void }
  onResult(mirror: string, result: MirrorResult): void
  /** One that is no noise; each kind and place once for each comparison. */
  onDifference(mirror: string, kind: DifferenceKind): void
}

/** Copies under way over all mirrors. With what each may hold of three answers this bounds their memory. */
const MAX_IN_FLIGHT = 64
/** Says that a request is a copy; a copy is not copied again. */
const MARK = 'x-sluice-mirror'
/** Before the name of a mirror that a service has: no route can be called so. */
const SERVICE = 'service '
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** One copy, from the decision to make it to the end of its comparison. */
interface Copy {
  readonly state: MirrorState
  readonly spec: MirrorSpec
  readonly request: WatchedRequest
  readonly headers: WatchedRequest['headers']
  readonly target: Service
  readonly instance: Instance
  readonly compare: CompareSpec | undefined
  /** The mirror's when the copy began; a reset makes another one. */
  readonly pause: MirrorPause
  /** For `pause`. */
  readonly mark: number
}

/**
 * Sends copies of requests to mirrors, beside the data path: own sockets, own limits, no retries, no records, and
 * nobody waits for them.
 */
export class Mirrors {
  readonly #deps: MirrorsDeps
  readonly #pools = new ShadowPools()
  readonly #states = new Map<string, MirrorState>()
  #inFlight = 0

  constructor(deps: MirrorsDeps) {
    this.#deps = deps
  }

  /** Copies under way. */
  get inFlight(): number {
    return this.#inFlight
  }

  readonly watch = (request: WatchedRequest): ExchangeWatch | undefined => {
    const { routed, method, headers } = request
    const own = routed.route.spec.mirror
    const spec = own ?? routed.service?.policy.mirror
    // Stable is compared with what is mirrored to; a canary is neither.
    if (routed.side !== undefined && routed.side.name !== STABLE) return undefined
    if (spec === undefined || !spec.methods.includes(method) || headers.has(MARK)) return undefined
    if (spec.share < 10_000 && this.#deps.random() * 10_000 >= spec.share) return undefined
    const name = own === undefined ? `${SERVICE}${routed.serviceName}` : routed.route.spec.name
    const state = this.#state(name, spec)
    try {
      return this.#begin(state, spec, request)
    } catch (thrown) {
      // The client's request goes on, whatever is wrong with the copy.
      this.#deps.log.warn({ mirror: name, err: errorText(thrown) }, 'a mirror failed')
      return undefined
    }
  }

  #state(name: string, spec: MirrorSpec): MirrorState {
    let state = this.#states.get(name)
    if (state === undefined) {
      state = new MirrorState(name, spec, this.#deps.random)
      this.#states.set(name, state)
    }
    state.update(spec)
    return state
  }

  #count(state: MirrorState, result: MirrorResult): undefined {
    state.count(result)
    this.#deps.onResult(state.name, result)
  }

  #begin(state: MirrorState, spec: MirrorSpec, request: WatchedRequest): ExchangeWatch | undefined {
    const { routed, body, table } = request
    const length = body.kind === 'none' ? 0 : body.kind === 'buffer' ? body.bytes.length : body.length
    if ((length ?? 0) > spec.maxBodyBytes) return this.#count(state, 'too_large')
    const target = spec.service === undefined ? routed.service : table?.services.get(spec.service)
    const instance = drawInstance(ofVersion(target?.eligible ?? [], spec.version), this.#deps.random())
    if (target === undefined || instance === undefined) return this.#count(state, 'no_instance')
    const { pause } = state
    if (pause.isOn(this.#deps.clock.monotonic())) return this.#count(state, 'paused')
    if (state.inFlight >= spec.maxInFlight || this.#inFlight >= MAX_IN_FLIGHT) {
      return this.#count(state, 'dropped')
    }
    state.inFlight++
    this.#inFlight++
    const compare =
      spec.compare !== undefined && this.#deps.random() < spec.compare.sample ? spec.compare : undefined
    const headers = request.headers.clone()
    const mark = pause.begin()
    return this.#watching({ state, spec, request, headers, target, instance, compare, pause, mark })
  }

  #watching(copy: Copy): ExchangeWatch {
    const { request, spec, state, compare } = copy
    const kept = compare === undefined ? undefined : new AnswerCopy(compare.maxBodyBytes)
    const primary = Promise.withResolvers<AnswerCopy | undefined>()
    let hasBegun = false
    const send = (bytes: Buffer | undefined) => {
      if (hasBegun) return
      hasBegun = true
      // Not in this turn: the client's own request goes first.
      setImmediate(() => void this.#send(copy, bytes, primary.promise))
    }
    const { body } = request
    const streamed = body.kind === 'stream' ? new BodyCopy(spec.maxBodyBytes, send) : undefined
    if (body.kind !== 'stream') send(body.kind === 'buffer' ? body.bytes : undefined)
    return {
      bodyTap: streamed,
      head: (status, headers) => kept?.head(status, headers),
      data: (chunk) => kept?.data(chunk),
      over: (result, isWhole) => {
        primary.resolve(isWhole && isAnswered(result) ? kept : undefined)
        if (hasBegun) return
        hasBegun = true
        this.#release(copy)
        this.#count(state, streamed?.isTooLarge ? 'too_large' : 'unsent')
      },
    }
  }

  #release(copy: Copy): void {
    this.#ended(copy, 'unknown')
    copy.state.inFlight--
    this.#inFlight--
  }

  /** The first word about a copy counts. */
  #ended({ state, pause, mark }: Copy, end: CopyEnd): void {
    if (!pause.end(mark, end, this.#deps.clock.monotonic())) return
    this.#deps.log.warn({ mirror: state.name }, 'a mirror does not answer: it gets no copies for a while')
  }

  async #send(copy: Copy, body: Buffer | undefined, primary: Promise<AnswerCopy | undefined>): Promise<void> {
    const { state, compare, request, target, spec } = copy
    try {
      const others = this.#stableInstances(copy)
      const isChecked =
        compare !== undefined &&
        SAFE.has(request.method) &&
        others.length > 0 &&
        state.wantsNoise(compare, this.#deps.random())
      const again = isChecked ? drawInstance(others, this.#deps.random()) : undefined
      const [result, second] = await Promise.all([
        this.#sent(copy, this.#exchange(copy, target, copy.instance, body, spec.hostSuffix)),
        again === undefined || request.routed.service === undefined
          ? undefined
          : this.#exchange(copy, request.routed.service, again, body, ''),
      ])
      // An event stream may never end: a copy does not wait for it.
      if (compare !== undefined)
        await this.#compare(copy, compare, result, second, await within(spec.timeoutMs, primary))
    } catch (thrown) {
      this.#deps.log.warn({ mirror: state.name, err: errorText(thrown) }, 'a mirror failed')
    } finally {
      this.#release(copy)
    }
  }

  async #sent(copy: Copy, pending: Promise<ShadowResult>): Promise<ShadowResult> {
    const result = await pending
    this.#ended(copy, result.kind === 'answer' ? 'answered' : 'failed')
    this.#count(copy.state, result.kind === 'answer' ? 'ok' : result.kind)
    return result
  }

  /** Who answers clients. */
  #stableInstances({ request, spec, target }: Copy): readonly Instance[] {
    const { service } = request.routed
    if (service === undefined) return []
    const { eligible } = request.routed.side ?? service
    return service.name === target.name ? notOfVersion(eligible, spec.version) : eligible
  }

  #exchange(
    { request, headers, spec, compare, state }: Copy,
    service: Service,
    instance: Instance,
    body: Buffer | undefined,
    suffix: string,
  ): Promise<ShadowResult> {
    const { action } = request.routed.route.spec
    const mode = action.kind === 'proxy' ? action.host : 'preserve'
    const base = upstreamHost(mode, request.clientHost, instance)
    const host = mode === 'upstream' ? base : shadowHost(base, suffix)
    const own = headers.clone()
    own.set(MARK, state.name)
    const trace = own.get('traceparent')
    if (trace !== undefined) own.set('traceparent', withSpanId(trace, this.#deps.newId(8)))
    return this.#pools.send(instance, service.policy, spec.maxInFlight, {
      method: request.method,
      path: request.routed.upstreamTarget ?? '/',
      fields: fieldsForTry(own, host, body?.length, 1),
      serverName: serverNameFor(instance, service.policy, base),
      body,
      timeoutMs: spec.timeoutMs,
      keepBytes: compare?.maxBodyBytes ?? 0,
    })
  }

  async #compare(
    { state, request }: Copy,
    compare: CompareSpec,
    result: ShadowResult,
    second: ShadowResult | undefined,
    primary: AnswerCopy | undefined,
  ): Promise<void> {
    const { rules } = state
    const headers = primary?.headers
    if (primary === undefined || headers === undefined || result.kind !== 'answer' || rules === undefined) {
      state.uncompared++
      return
    }
    const { maxBodyBytes } = compare
    const first = await toAnswer({ status: primary.status, headers, body: primary.body() }, maxBodyBytes)
    const differences = compareAnswers(first, await toAnswer(result, maxBodyBytes), rules)
    // One long comparison in a turn is enough.
    await nextTurn()
    let noise: Difference[] | undefined
    if (second?.kind === 'answer') noise = compareAnswers(first, await toAnswer(second, maxBodyBytes), rules)
    const at = this.#deps.clock.now()
    const text = `${request.method} ${request.routed.path}`.slice(0, 200)
    const real = state.report.add({ at, request: text, differences, noise })
    const told = new Map(real.map(({ kind, path }) => [`${kind} ${path}`, kind]))
    for (const kind of told.values()) this.#deps.onDifference(state.name, kind)
  }

  /** After a swap: mirrors and instances that are gone. */
  keepOnly(table: Table): void {
    this.#pools.keepOnly(table)
    for (const name of this.#states.keys()) {
      const isService = name.startsWith(SERVICE)
      const service = isService ? table.services.get(name.slice(SERVICE.length)) : undefined
      const spec = isService ? service?.policy.mirror : table.routes.get(name)?.spec.mirror
      if (spec === undefined) this.#states.delete(name)
    }
  }

  view(): readonly MirrorView[] {
    const now = this.#deps.clock.monotonic()
    return [...this.#states.values()].map((state) => state.view(now))
  }

  /** Begins the report of a mirror anew; false = there is none of this name. */
  reset(name: string): boolean {
    const state = this.#states.get(name)
    state?.reset()
    return state !== undefined
  }

  async close(): Promise<void> {
    await this.#pools.close()
  }
}

/** By an instance, not by the gateway. */
const isAnswered = ({ outcome, refuse }: ForwardResult): boolean => outcome === 'ok' && refuse === undefined
