import { Transform } from 'node:stream'
import { errorText } from '../core/errors.ts'
import { codingsOf, decodeBody } from '../waf/decode.ts'
import type { Inspection, OpenTransaction, WafEngine } from '../waf/engine.ts'
import { reportVerdict } from '../waf/report.ts'
import { RuleKeeper } from '../waf/rule-keeper.ts'
import { type RuleOptions, transactionId } from '../waf/rules.ts'
import type { InspectedRequest, Verdict } from '../waf/types.ts'
import {
  defineFilter,
  type Ending,
  type FilterContext,
  type FilterDeps,
  type FilterHandlers,
  type FilterReply,
  type ResponseContext,
} from './filter.ts'
import { type WafOptions, wafOptions } from './waf-options.ts'

/** One request that the engine knows. */
interface Watched {
  isOver: boolean
  inspection: Inspection | undefined
  transaction: Promise<OpenTransaction | undefined> | undefined
  /** Looks at the answer that are still to come; the transaction ends after them. */
  pending: number
  isEnded: boolean
}

const BLOCKED: FilterReply = { status: 403, code: 'GW_WAF_BLOCKED' }
const TOO_LARGE: FilterReply = { status: 413, code: 'GW_REQUEST_BODY_TOO_LARGE' }
const ANSWER_BLOCKED: FilterReply = { status: 502, code: 'GW_WAF_ANSWER_BLOCKED' }

/** Braces and words such as `id` and `node` are commands to rules that look for shells. */
const GRAPHQL: RuleOptions['exclusions'] = ['query', 'json.query'].map((parameter) => ({
  rules: ['932100-932115'],
  parameter,
}))

/** What the rules are made from. `crs`: folder of the Core Rule Set. */
export function ruleOptionsOf(options: WafOptions, crs: string): RuleOptions {
  const { paranoia, requestBody, response } = options
  return {
    crs: options.coreRules ? crs : undefined,
    paranoia: { blocking: paranoia.blocking, detection: paranoia.detection ?? paranoia.blocking },
    thresholds: options.thresholds,
    methods: options.methods,
    contentTypes: options.contentTypes,
    body: requestBody === false ? undefined : requestBody,
    answerBody: response.body,
    exclusions: [...options.exclusions, ...(options.graphql ? GRAPHQL : [])],
    files: options.ruleFiles,
  }
}

/** For the operator: the first rule that matched, without what the client sent. */
function reasonOf({ hits, score }: Verdict): string {
  const [first, ...others] = hits
  if (first === undefined) return `score ${score}`
  const more = new Set(others.map(({ ruleId }) => ruleId).filter((id) => id !== first.ruleId)).size
  return `rule ${first.ruleId} (${first.category}): ${first.message}${more === 0 ? '' : `, and ${more} more`}; score ${score}`
}

/** What the engine is to see: the request as it goes upstream, with the framing that the gateway writes anew. */
function headersFor(ctx: FilterContext, isDecoded: boolean): string[] {
  const headers = ctx.headers.clone()
  if (isDecoded) headers.delete('content-encoding')
  if (!headers.has('host')) headers.append('host', ctx.decision.host)
  if (ctx.contentLength === undefined) headers.set('transfer-encoding', 'chunked')
  else if (ctx.contentLength > 0) headers.set('content-length', String(ctx.contentLength))
  return headers.raw()
}

/** Handed over to a thread, so a copy: the rest of the gateway still needs the bytes. */
const copyOf = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes)

class Waf {
  readonly #options: WafOptions
  readonly #deps: FilterDeps
  readonly #engine: WafEngine
  readonly keeper: RuleKeeper
  readonly #watched = new WeakMap<FilterContext, Watched>()
  /** Transactions stay open for the answer. */
  readonly #seesAnswers: boolean
  readonly #isMonitor: boolean

  constructor(options: WafOptions, deps: FilterDeps) {
    this.#options = options
    this.#deps = deps
    const { engine, crs } = deps.resources.waf()
    this.#engine = engine
    this.#isMonitor = options.action === 'monitor'
    this.#seesAnswers = options.response.headers || options.response.body !== undefined
    this.keeper = new RuleKeeper(ruleOptionsOf(options, crs), {
      engine,
      log: deps.log,
      event: (data) => deps.event({ filter: deps.name, ...data }),
      watchFiles: (paths, onChange) => deps.watchFiles(paths, onChange),
    })
  }

  get seesAnswers(): boolean {
    return this.#seesAnswers
  }

  inbound(ctx: FilterContext): Promise<FilterReply | undefined> | undefined {
    const { sampling } = this.#options
    if (sampling < 100 && this.#deps.random() * 100 >= sampling) {
      this.#count('unsampled')
      return undefined
    }
    const watched: Watched = {
      isOver: false,
      inspection: undefined,
      transaction: undefined,
      pending: 0,
      isEnded: false,
    }
    this.#watched.set(ctx, watched)
    const judged = this.#inspect(ctx, watched)
    if (!this.#isMonitor) return judged
    judged.catch((thrown: unknown) => {
      this.#deps.log.warn(
        { filter: this.#deps.name, requestId: ctx.requestId, err: errorText(thrown) },
        'waf failed',
      )
    })
    return undefined
  }

  async #inspect(ctx: FilterContext, watched: Watched): Promise<FilterReply | undefined> {
    try {
      const request = await this.#requestOf(ctx)
      if (this.#isUseless(watched)) return undefined
      if (request === 'bomb') return this.#bomb(ctx)
      if (request === 'too-large') return this.#isMonitor ? undefined : TOO_LARGE
      const inspection = this.#engine.inspect(this.keeper.current, request, this.#seesAnswers)
      watched.inspection = inspection
      watched.transaction = inspection.verdict.then(
        ({ transaction }) => transaction,
        () => undefined,
      )
      const { verdict } = await inspection.verdict
      return this.#conclude(ctx, 'request', verdict)
    } catch (thrown) {
      if (this.#isUseless(watched)) return undefined
      this.#count('error')
      throw thrown
    }
  }

  /** Nobody waits for the verdict; in monitor mode nobody ever does. */
  #isUseless(watched: Watched): boolean {
    return watched.isOver && !this.#isMonitor
  }

  async #requestOf(ctx: FilterContext): Promise<InspectedRequest | 'bomb' | 'too-large'> {
    const { requestBody } = this.#options
    let body = requestBody === false || ctx.body === undefined ? undefined : ctx.body
    let isWhole = ctx.isBodyWhole
    let isDecoded = false
    if (body !== undefined && requestBody !== false) {
      const codings = codingsOf(ctx.headers.get('content-encoding'))
      const { maxBytes } = requestBody
      const decoded = await decodeBody(body, isWhole, codings, maxBytes)
      if (decoded.kind === 'bomb') return 'bomb'
      if (decoded.kind === 'plain') {
        isDecoded = true
        body = decoded.bytes
        isWhole = decoded.isWhole
        if (!isWhole && requestBody.larger === 'refuse') return 'too-large'
      } else {
        isWhole &&= body.length <= maxBytes
        body = body.subarray(0, maxBytes)
      }
    }
    const { decision } = ctx
    return {
      id: transactionId(ctx.requestId, decision.route.spec.name, body !== undefined && !isWhole),
      clientIp: ctx.clientIp,
      method: ctx.method,
      uri: decision.path + decision.query,
      httpVersion: ctx.httpVersion,
      headers: headersFor(ctx, isDecoded),
      body: body === undefined ? undefined : copyOf(body),
    }
  }

  #bomb(ctx: FilterContext): FilterReply | undefined {
    const verdict: Verdict = {
      isBlocked: true,
      ruleId: 0,
      score: 0,
      hits: [
        {
          ruleId: 0,
          message: 'The request body grows beyond measure when it is decoded',
          category: 'body',
          tags: [],
          variable: 'REQUEST_BODY',
          value: '',
          score: 0,
        },
      ],
    }
    return this.#conclude(ctx, 'request', verdict)
  }

  #conclude(ctx: FilterContext, phase: 'request' | 'answer', verdict: Verdict): FilterReply | undefined {
    const { log, name, metrics } = this.#deps
    const subject = { filter: name, requestId: ctx.requestId, route: ctx.decision.route.spec.name, phase }
    reportVerdict(subject, verdict, !this.#isMonitor, {
      log,
      countHit: (category) => metrics.count('sluice_waf_hits_total', [name, category]),
    })
    if (!verdict.isBlocked) {
      if (phase === 'request') this.#count('pass')
      return undefined
    }
    this.#count(this.#isMonitor ? 'would_block' : 'block')
    if (this.#isMonitor) return undefined
    return { ...(phase === 'request' ? BLOCKED : ANSWER_BLOCKED), reason: reasonOf(verdict) }
  }

  #count(decision: 'pass' | 'block' | 'would_block' | 'unsampled' | 'error'): void {
    this.#deps.metrics.count('sluice_waf_decisions_total', [this.#deps.name, decision])
  }

  outbound(
    ctx: FilterContext,
    response: ResponseContext,
  ): FilterReply | undefined | Promise<FilterReply | undefined> {
    const watched = this.#watched.get(ctx)
    if (watched?.transaction === undefined || response.isLocal) return undefined
    // As the upstream sent them: filters that run later may edit the head before it is judged.
    const answer = {
      status: response.status,
      httpVersion: ctx.httpVersion,
      headers: response.headers.clone().raw(),
    }
    const judged = this.#judge(ctx, watched, (transaction) => this.#engine.answer(transaction, answer))
    const { body } = this.#options.response
    const type = response.headers.get('content-type')?.split(';', 1)[0]?.trim().toLowerCase()
    if (body !== undefined && type !== undefined && body.types.includes(type)) {
      const codings = codingsOf(response.headers.get('content-encoding'))
      const judge = async (beginning: Buffer, isWhole: boolean) => {
        const decoded = await decodeBody(beginning, isWhole, codings, body.maxBytes)
        const bytes = decoded.kind === 'plain' ? decoded.bytes : beginning
        return this.#judge(ctx, watched, (transaction) =>
          this.#engine.answerBody(transaction, copyOf(bytes.subarray(0, body.maxBytes))),
        )
      }
      if (this.#isMonitor) this.#listen(watched, response, body.maxBytes, judge, judged)
      else response.bodyChecks?.push({ maxBytes: body.maxBytes, judge })
    }
    if (!this.#isMonitor) return judged
    judged.catch(() => this.#count('error'))
    return undefined
  }

  #listen(
    watched: Watched,
    response: ResponseContext,
    maxBytes: number,
    judge: Judge,
    before: Promise<unknown>,
  ): void {
    watched.pending++
    const after = () => {
      watched.pending--
      this.#endIfOver(watched)
    }
    response.transforms.unshift(
      listening(maxBytes, (beginning, isWhole) => {
        before
          .then(() => judge(beginning, isWhole))
          .catch(() => this.#count('error'))
          .finally(after)
      }),
    )
  }

  async #judge(
    ctx: FilterContext,
    watched: Watched,
    ask: (transaction: OpenTransaction) => Promise<Verdict>,
  ): Promise<FilterReply | undefined> {
    watched.pending++
    try {
      const transaction = await watched.transaction
      if (transaction === undefined || watched.isEnded) return undefined
      return this.#conclude(ctx, 'answer', await ask(transaction))
    } finally {
      watched.pending--
      this.#endIfOver(watched)
    }
  }

  done(ctx: FilterContext, { outcome }: Ending): void {
    const watched = this.#watched.get(ctx)
    if (watched === undefined) return
    watched.isOver = true
    // A body that was broken off never tells its end.
    if (outcome !== 'ok') watched.pending = 0
    if (!this.#isMonitor) watched.inspection?.cancel()
    this.#endIfOver(watched)
  }

  #endIfOver(watched: Watched): void {
    if (!watched.isOver || watched.isEnded || watched.pending > 0) return
    watched.isEnded = true
    void watched.transaction?.then((open) => {
      if (open !== undefined) this.#engine.end(open)
    })
  }
}

type Judge = (beginning: Buffer, isWhole: boolean) => Promise<unknown>

/** Hands a copy of the beginning to `tell`, once, and holds nothing back. */
function listening(maxBytes: number, tell: (beginning: Buffer, isWhole: boolean) => void): Transform {
  let chunks: Buffer[] | undefined = []
  let size = 0
  const finish = (isWhole: boolean) => {
    if (chunks === undefined) return
    const all = Buffer.concat(chunks)
    chunks = undefined
    tell(all.subarray(0, maxBytes), isWhole)
  }
  return new Transform({
    transform(chunk: Buffer, _, done) {
      chunks?.push(chunk)
      size += chunk.length
      if (size > maxBytes) finish(false)
      done(null, chunk)
    },
    flush(done) {
      finish(true)
      done()
    },
    destroy(error, done) {
      finish(false)
      done(error)
    },
  })
}

/** libmodsecurity 3 with the OWASP Core Rule Set: scores requests, and answers if wanted, and refuses attacks. */
export const waf = defineFilter({
  name: 'waf',
  summary: 'Web application firewall: libmodsecurity 3 with the OWASP Core Rule Set (docs/waf.md).',
  options: wafOptions,
  create(options, deps): FilterHandlers {
    if (options.action === 'off') return {}
    const filter = new Waf(options, deps)
    const { requestBody } = options
    return {
      async prepare() {
        await filter.keeper.load()
      },
      inbound: (ctx) => filter.inbound(ctx),
      ...(filter.seesAnswers ? { outbound: (ctx, response) => filter.outbound(ctx, response) } : {}),
      done: (ctx, ending) => filter.done(ctx, ending),
      ...(requestBody === false
        ? {}
        : {
            needsBody: {
              maxBytes: requestBody.maxBytes,
              whenLarger: requestBody.larger === 'refuse' ? 'refuse' : 'prefix',
            } as const,
          }),
      close: () => filter.keeper.close(),
    }
  },
})
