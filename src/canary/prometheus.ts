import type { Clock } from '../core/duration.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import type { LedRule } from './rules.ts'

const TIMEOUT_MS = 5000
const MAX_ANSWER = 65_536

export interface PrometheusDeps {
  /** Undefined = none is configured: every question is in vain. */
  readonly url: string | undefined
  readonly clock: Clock
  readonly log: { warn(fields: object, text: string): void }
}

interface Question {
  /** When it was put. */
  askedAt: number
  /** Not taken yet. */
  answer: { readonly value: number; readonly at: number } | undefined
  isUnderWay: boolean
  isFailing: boolean
}

/** Puts the questions of `value` checks to Prometheus, beside the loop of the releases, which never waits for it. */
export class PrometheusChecks {
  readonly #deps: PrometheusDeps
  readonly #questions = new Map<string, Question>()
  readonly #abort = new AbortController()

  constructor(deps: PrometheusDeps) {
    this.#deps = deps
  }

  /** The answers since the last call, by name of the check, each of them once; NaN = there was none. Asks again when it is time. */
  take({ name, guard }: LedRule): Readonly<Record<string, number>> {
    const values: Record<string, number> = {}
    for (const check of guard.checks) {
      if (check.kind !== 'value') continue
      const key = `${name}\n${check.query}`
      const question = this.#questions.get(key) ?? newQuestion()
      this.#questions.set(key, question)
      const now = this.#deps.clock.monotonic()
      const { answer } = question
      question.answer = undefined
      // One that lay about while another gateway decided is of no use.
      if (answer !== undefined && now - answer.at <= guard.intervalMs) values[check.name] = answer.value
      if (question.isUnderWay || now - question.askedAt < guard.intervalMs) continue
      question.askedAt = now
      void this.#ask(question, name, check.query)
    }
    return values
  }

  /** Forgets what is asked for none of these rules. */
  keepOnly(rules: readonly LedRule[]): void {
    const names = new Set(rules.map(({ name }) => name))
    for (const key of this.#questions.keys()) {
      if (!names.has(key.slice(0, key.indexOf('\n')))) this.#questions.delete(key)
    }
  }

  async #ask(question: Question, canary: string, query: string): Promise<void> {
    question.isUnderWay = true
    let value = Number.NaN
    try {
      value = await this.#query(query)
      question.isFailing = false
    } catch (thrown) {
      if (!question.isFailing && !this.#abort.signal.aborted)
        this.#deps.log.warn({ canary, err: errorText(thrown) }, 'prometheus has no number for a guard')
      question.isFailing = true
    }
    question.isUnderWay = false
    question.answer = { value, at: this.#deps.clock.monotonic() }
  }

  async #query(query: string): Promise<number> {
    const { url } = this.#deps
    if (url === undefined) throw noNumber('canary.prometheus is not set')
    const target = new URL('api/v1/query', url.endsWith('/') ? url : `${url}/`)
    const { username, password } = target
    target.username = ''
    target.password = ''
    target.searchParams.set('query', query)
    const login = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`)
    const response = await fetch(target, {
      signal: AbortSignal.any([this.#abort.signal, AbortSignal.timeout(TIMEOUT_MS)]),
      redirect: 'error',
      headers: username === '' ? {} : { authorization: `Basic ${login.toString('base64')}` },
    })
    const text = await boundedText(response)
    if (!response.ok) throw noNumber(`status ${response.status}`)
    return numberOf(text)
  }

  close(): void {
    this.#abort.abort()
  }
}

const newQuestion = (): Question => ({
  askedAt: Number.NEGATIVE_INFINITY,
  answer: undefined,
  isUnderWay: false,
  isFailing: false,
})

const noNumber = (text: string) => new GatewayError('GW_ADMIN_UNREACHABLE', `prometheus: ${text}`)

async function boundedText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of response.body ?? []) {
    length += chunk.length
    if (length > MAX_ANSWER) throw noNumber('the answer is too long: let the query make one number')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** The one number of an instant query: a scalar, or a vector of one. */
export function numberOf(text: string): number {
  let answer: { data?: { resultType?: string; result?: unknown } } | null
  try {
    answer = JSON.parse(text)
  } catch {
    throw noNumber('the answer is no JSON')
  }
  const { resultType, result } = answer?.data ?? {}
  if (!Array.isArray(result)) throw noNumber('the answer has no result')
  if (resultType === 'vector' && result.length > 1) throw noNumber(`${result.length} numbers, not one`)
  const sample = resultType === 'scalar' ? result : (result[0] as { value?: unknown } | undefined)?.value
  const value = Array.isArray(sample) ? Number.parseFloat(String(sample[1])) : Number.NaN
  if (Number.isNaN(value)) throw noNumber('no number')
  return value
}
