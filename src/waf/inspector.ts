import { GatewayError } from '../core/errors.ts'
import { hitsOf, parseLogLine, totalScore } from './hits.ts'
import { type Handle, ModSecurity } from './library.ts'
import { describeRuleError } from './rules.ts'
import type { InspectedAnswer, InspectedRequest, RulePart, Verdict } from './types.ts'
import { UnicodeMap } from './unicode-map.ts'

interface RuleSet {
  readonly rules: Handle
  readonly blockingParanoia: number
  /** Transactions that use it. */
  open: number
  isDropped: boolean
}

interface OpenTransaction {
  readonly handle: Handle
  readonly set: RuleSet
}

/** Transactions that wait for their answers; each holds a request's body. */
const MAX_OPEN = 10_000

/**
 * Ends the start condition in which a file without a line end leaves the library's parser, which is one for the whole
 * process: the next text would be read as if it began in the middle of a directive.
 */
const RESET = 'SecRule REQUEST_METHOD "@streq GET" "id:8880990,phase:1,pass,nolog"\n'
const RESET_TRIES = 5

/** Rule sets and transactions of one worker; everything is synchronous. Throws GW_WAF_LIBRARY. */
export class Inspector {
  readonly #library: ModSecurity
  readonly #map = new UnicodeMap()
  readonly #sets = new Map<number, RuleSet>()
  readonly #open = new Map<number, OpenTransaction>()

  constructor(libraryPath: string) {
    this.#library = new ModSecurity(libraryPath)
  }

  get version(): string {
    return this.#library.version
  }

  /** What is in memory on the library's side. */
  get handles(): { readonly sets: number; readonly transactions: number } {
    return { sets: this.#sets.size, transactions: this.#open.size }
  }

  /** Returns the number of rules. Throws GW_CONFIG_INVALID with file, line and column. */
  load(id: number, parts: readonly RulePart[], blockingParanoia: number): number {
    const rules = this.#library.createRules()
    const map: RulePart = {
      kind: 'text',
      text: `SecUnicodeMapFile ${this.#map.path} 20127\n`,
      label: 'the Unicode map of the waf filter',
    }
    let sum = 0
    for (const part of [map, ...parts]) {
      const result =
        part.kind === 'text'
          ? this.#library.addText(rules, part.text)
          : this.#library.addFile(rules, part.path)
      if (part.kind === 'file') this.#resetParser()
      if (typeof result === 'string') {
        this.#library.freeRules(rules)
        throw new GatewayError('GW_CONFIG_INVALID', describeRuleError(part, result))
      }
      sum += result
    }
    this.#sets.set(id, { rules, blockingParanoia, open: 0, isDropped: false })
    return sum
  }

  #resetParser(): void {
    for (let i = 0; i < RESET_TRIES; i++) {
      const rules = this.#library.createRules()
      const result = this.#library.addText(rules, RESET)
      this.#library.freeRules(rules)
      if (typeof result === 'number') return
    }
  }

  /** Freed once the last transaction with it is over. */
  drop(id: number): void {
    const set = this.#sets.get(id)
    if (set === undefined) return
    this.#sets.delete(id)
    set.isDropped = true
    if (set.open === 0) this.#library.freeRules(set.rules)
  }

  /** Phases 1 and 2. With `keep` the transaction stays open under this number until `end`. */
  request(setId: number, request: InspectedRequest, keep: number | undefined): Verdict {
    const set = this.#sets.get(setId)
    if (set === undefined) throw new GatewayError('GW_INTERNAL_STATE', 'the rule set is not loaded')
    if (this.#open.size >= MAX_OPEN) throw new GatewayError('GW_WAF_BUSY', 'too many answers are waited for')
    this.#library.takeLines()
    const handle = this.#library.begin(set.rules, request.id, request.clientIp)
    set.open++
    const transaction = { handle, set }
    let isKept = false
    try {
      this.#library.requestHead(handle, request.method, request.uri, request.httpVersion, request.headers)
      let verdict = this.#judge(transaction)
      if (!verdict.isBlocked) {
        this.#library.requestBody(handle, request.body)
        verdict = this.#judge(transaction, verdict)
      }
      if (keep !== undefined) {
        this.#open.set(keep, transaction)
        isKept = true
      }
      return verdict
    } finally {
      if (!isKept) this.#close(transaction)
    }
  }

  /** Phase 3. */
  answer(id: number, answer: InspectedAnswer): Verdict {
    const transaction = this.#opened(id)
    this.#library.takeLines()
    this.#library.responseHead(transaction.handle, answer.status, answer.httpVersion, answer.headers)
    return this.#judge(transaction)
  }

  /** Phase 4. */
  answerBody(id: number, body: Uint8Array): Verdict {
    const transaction = this.#opened(id)
    this.#library.takeLines()
    this.#library.responseBody(transaction.handle, body)
    return this.#judge(transaction)
  }

  /** Phase 5 and the end. */
  end(id: number): void {
    const transaction = this.#open.get(id)
    if (transaction === undefined) return
    this.#open.delete(id)
    this.#close(transaction)
  }

  #opened(id: number): OpenTransaction {
    const transaction = this.#open.get(id)
    if (transaction === undefined) throw new GatewayError('GW_INTERNAL_STATE', 'the transaction is over')
    return transaction
  }

  #close({ handle, set }: OpenTransaction): void {
    this.#library.end(handle)
    set.open--
    if (set.isDropped && set.open === 0) this.#library.freeRules(set.rules)
  }

  #judge({ handle, set }: OpenTransaction, before?: Verdict): Verdict {
    const lines = this.#library.takeLines()
    const intervention = this.#library.intervention(handle)
    if (intervention !== undefined) lines.push(intervention.log)
    const hits = [...(before?.hits ?? []), ...hitsOf(lines, set.blockingParanoia, before?.score)]
    const summed = hits.at(-1)?.score ?? 0
    if (intervention === undefined) return { isBlocked: false, ruleId: 0, score: summed, hits }
    return {
      isBlocked: true,
      ruleId: parseLogLine(intervention.log)?.ruleId ?? 0,
      score: totalScore(intervention.log) ?? summed,
      hits,
    }
  }

  /** Frees all but the library itself. */
  close(): void {
    for (const id of [...this.#open.keys()]) this.end(id)
    for (const id of [...this.#sets.keys()]) this.drop(id)
    this.#map.close()
  }
}
