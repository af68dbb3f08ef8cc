import { EXPLAIN_HEADER } from '../src/core/debug-token.ts'
import type { ErrorCode } from '../src/core/errors.ts'
import type { Headers } from '../src/core/headers.ts'
import type { Outcome } from '../src/core/outcome.ts'
import type { RequestRecord } from '../src/core/record.ts'
import type { FilterReply } from '../src/filters/filter.ts'
import { redactTarget } from '../src/preview/redact.ts'
import type { BegunAttempt } from '../src/proxy/exchange.ts'
import { authorityOf } from '../src/proxy/transport.ts'
import type { SideDecision } from '../src/routing/canary.ts'
import { type Explanation, explain, type LiveVerdict } from '../src/routing/explain.ts'
import type { Decision, RequestShape } from '../src/routing/table.ts'
import type { Intake } from './intake.ts'
import type { Tracing } from './tracing.ts'

/** Of candidates and instances; a large service must not make a large answer of each explanation. */
const MAX_LISTED = 200
/** Of the answer's header. */
const MAX_HEADER_BYTES = 4096

/** What a filter made of the request: `not reached` when one before it, or the answer, came in between. */
export interface FilterVerdictView {
  readonly name: string
  readonly type: string
  /** It works on a copy and refuses nothing. */
  readonly isDryRun?: true
  readonly verdict: 'passed' | 'refused' | 'failed open' | 'failed closed' | 'would refuse' | 'not reached'
  /** Inbound. */
  readonly ms?: number
  readonly status?: number
  readonly code?: ErrorCode
  /** For the operator. */
  readonly reason?: string
  /** What it made of the answer. */
  readonly outbound?: {
    readonly verdict: 'passed' | 'replaced' | 'failed open' | 'failed closed'
    readonly ms: number
  }
}

export interface AttemptView {
  readonly instance: string
  readonly address: string
  readonly version?: string
  readonly status?: number
  /** `answering`: its answer is on its way. */
  readonly outcome: Outcome | 'answering'
  readonly ms: number
}

/** A real request, explained: what `POST /api/explain` says of a written one, and what became of it. */
export interface LiveExplanation extends Omit<Explanation, 'filters' | 'canary'> {
  readonly id: string
  readonly requestId: string
  /** ms since the epoch. */
  readonly at: number
  readonly client: string
  readonly principal?: { readonly id: string; readonly kind: string }
  readonly filters?: readonly FilterVerdictView[]
  /** `bucket`: 0 to 9,999, where the share decided. */
  readonly canary?: NonNullable<Explanation['canary']> & { readonly bucket?: number }
  readonly attempts: readonly AttemptView[]
  /** What the client got; 499 = it left. */
  readonly status: number
  readonly outcome?: Outcome
  readonly ms: number
  /** More candidates or instances than are listed. */
  readonly isCut?: true
}

export interface RequestTraceDeps {
  readonly id: string
  monotonic(): number
  live(): LiveVerdict
  onOver(explanation: LiveExplanation): void
}

interface Ran {
  readonly ms: number
  readonly reply: FilterReply | undefined
  readonly hasFailed: boolean
}

/** Notes what becomes of one request on its way. */
export class RequestTrace implements Tracing {
  readonly #intake: Intake
  readonly #deps: RequestTraceDeps
  readonly #shape: RequestShape
  /** Why which version was taken; `chooseSide` fills it. */
  readonly steps: string[] = []
  readonly #ran = { inbound: new Map<string, Ran>(), outbound: new Map<string, Ran>() }
  #failed: string | undefined
  readonly #attempts: BegunAttempt[] = []
  #explanation: Explanation | undefined
  /** Of a local answer. */
  code: ErrorCode | undefined

  /** Before anything is taken from the headers. */
  constructor(intake: Intake, deps: RequestTraceDeps) {
    this.#intake = intake
    this.#deps = deps
    const headers = intake.headers.clone()
    const { method, target, authority, scheme, clientIp, roll } = intake
    this.#shape = {
      ...{ method, target, authority, scheme, clientIp, roll },
      header: (name) => headers.get(name),
    }
  }

  failed(name: string): void {
    this.#failed = name
  }

  ran(name: string, phase: 'inbound' | 'outbound', ms: number, reply: FilterReply | undefined): void {
    this.#ran[phase].set(name, { ms, reply, hasFailed: this.#failed === name })
    this.#failed = undefined
  }

  /** The version is decided; instances are as they are now, before one is picked. */
  decided(decision: SideDecision | undefined): void {
    this.#explanation = this.#explain(decision)
  }

  readonly onTry = (attempt: BegunAttempt): void => {
    this.#attempts.push(attempt)
  }

  #explain(side: SideDecision | undefined): Explanation | undefined {
    const { table, decision } = this.#intake
    if (table === undefined) return undefined
    const decided = { decided: side, steps: this.steps }
    const found = explain(this.#shape, table, { live: this.#deps.live(), decided })
    return found.result === decision.kind ? found : { ...found, ...undecided(decision) }
  }

  /** The answer is about to go out: what is known by now, for who sent the token. Nobody may keep it for others. */
  answering(status: number, headers: Headers): void {
    headers.set(EXPLAIN_HEADER, this.#header(status))
    headers.set('cache-control', 'private, no-store')
  }

  #header(status: number): string {
    const view = this.#view(status, undefined)
    const { timeouts: _timeouts, retries: _retries, request: _request, client: _client, ...short } = view
    const text = Buffer.from(JSON.stringify(short)).toString('base64url')
    if (text.length <= MAX_HEADER_BYTES) return text
    return Buffer.from(JSON.stringify({ id: view.id })).toString('base64url')
  }

  /** It is over. */
  over(record: RequestRecord): void {
    this.code = record.code
    this.#deps.onOver(this.#view(record.status, record))
  }

  #view(status: number, record: RequestRecord | undefined): LiveExplanation {
    const { requestId, startedAt: at, clientIp: client, begunAt } = this.#intake
    this.#explanation ??= this.#explain(undefined)
    const { filters: specs, canary, ...rest } = this.#explanation ?? NO_TABLE
    const { candidates, instances, request, upstreamTarget } = rest
    const isCut = candidates.length > MAX_LISTED || (instances?.length ?? 0) > MAX_LISTED
    const { principal } = record ?? {}
    return {
      id: this.#deps.id,
      requestId,
      at,
      client,
      ...rest,
      ...(this.code === undefined ? {} : { code: this.code }),
      request: { ...request, target: redactTarget(this.#intake.target) },
      candidates: candidates.slice(0, MAX_LISTED),
      ...(upstreamTarget === undefined ? {} : { upstreamTarget: redactTarget(upstreamTarget) }),
      ...(principal === undefined ? {} : { principal }),
      ...(specs === undefined ? {} : { filters: this.#filters() }),
      ...(canary === undefined ? {} : { canary: { ...canary, ...bucketOf(canary) } }),
      ...(instances === undefined ? {} : { instances: instances.slice(0, MAX_LISTED) }),
      attempts: record === undefined ? this.#begunAttempts() : this.#endedAttempts(record),
      status,
      ...(record === undefined ? {} : { outcome: record.outcome }),
      ms: rounded(record?.totalMs ?? this.#deps.monotonic() - begunAt),
      ...(isCut ? { isCut: true as const } : {}),
    }
  }

  #filters(): FilterVerdictView[] {
    const { decision } = this.#intake
    if (decision.kind !== 'route') return []
    return decision.route.spec.filters.map(({ name, type, mode }) => {
      const [inbound, outbound] = [this.#ran.inbound.get(name), this.#ran.outbound.get(name)]
      if (mode === 'dryRun') {
        const verdict =
          inbound === undefined ? 'not reached' : inbound.reply === undefined ? 'passed' : 'would refuse'
        return { name, type, isDryRun: true as const, verdict, ...replyOf(inbound?.reply) }
      }
      return {
        name,
        type,
        ...(inbound === undefined
          ? { verdict: outbound === undefined ? ('not reached' as const) : ('passed' as const) }
          : { verdict: verdictOf(inbound, 'refused'), ms: rounded(inbound.ms), ...replyOf(inbound.reply) }),
        ...(outbound === undefined
          ? {}
          : { outbound: { verdict: verdictOf(outbound, 'replaced'), ms: rounded(outbound.ms) } }),
      }
    })
  }

  #begunAttempts(): AttemptView[] {
    const now = this.#deps.monotonic()
    return this.#attempts.map(({ upstream: { instance }, startedAt, endedAt, status, outcome }) => ({
      ...placeOf(instance),
      ...(status === undefined ? {} : { status }),
      outcome: outcome ?? 'answering',
      ms: rounded((endedAt ?? now) - startedAt),
    }))
  }

  #endedAttempts({ attempts }: RequestRecord): AttemptView[] {
    const instances = this.#intake.decision.kind === 'route' ? this.#intake.decision.service?.instances : []
    return attempts.map(({ instanceKey, status, outcome, ms }) => {
      const instance = instances?.find(({ key }) => key === instanceKey)
      return {
        ...(instance === undefined ? { instance: instanceKey, address: '' } : placeOf(instance)),
        ...(status === undefined ? {} : { status }),
        outcome,
        ms: rounded(ms),
      }
    })
  }
}

const NO_TABLE: Explanation = {
  table: { version: 0, id: '' },
  request: { method: '', target: '', authority: undefined },
  steps: [],
  candidates: [],
  result: 'refuse',
}

/** Refused before anybody asked the table. */
const undecided = (decision: Decision): Partial<Explanation> => ({
  result: decision.kind,
  ...(decision.kind === 'refuse' ? { code: decision.code } : {}),
  steps: ['refused before its route was looked for'],
  candidates: [],
})

function verdictOf<Word extends string>({ reply, hasFailed }: Ran, word: Word) {
  if (hasFailed) return reply === undefined ? ('failed open' as const) : ('failed closed' as const)
  return reply === undefined ? ('passed' as const) : word
}

function replyOf(reply: FilterReply | undefined) {
  if (reply === undefined) return {}
  const { status, code, reason, detail } = reply
  const why = reason ?? detail
  return { status, ...(code === undefined ? {} : { code }), ...(why === undefined ? {} : { reason: why }) }
}

const placeOf = (instance: BegunAttempt['upstream']['instance']) => ({
  instance: instance.key,
  address: authorityOf(instance),
  ...(instance.version === undefined ? {} : { version: instance.version }),
})

/** Where the share decided, the steps name the bucket. */
function bucketOf({ rule, steps }: NonNullable<Explanation['canary']>): { bucket?: number } {
  const step = steps.find((each) => each.startsWith(`${rule}: bucket `))
  const bucket = step === undefined ? undefined : /: bucket (\d+) of /.exec(step)?.[1]
  return bucket === undefined ? {} : { bucket: Number(bucket) }
}

const rounded = (ms: number): number => Math.round(ms * 1000) / 1000
