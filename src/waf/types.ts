/** What goes between the main thread and the engine's workers. */

/** One piece of a rule set, loaded in order. `label`: what an error names instead of a text. */
export type RulePart =
  | { readonly kind: 'text'; readonly text: string; readonly label: string }
  | { readonly kind: 'file'; readonly path: string }

/** A request or the beginning of one, as libmodsecurity is to see it. */
export interface InspectedRequest {
  /** Unique id with marks (see `transactionId`): rules read it as UNIQUE_ID. */
  readonly id: string
  readonly clientIp: string
  readonly method: string
  /** Path and query. */
  readonly uri: string
  /** `1.1`, `2.0`. */
  readonly httpVersion: string
  /** name, value, name, value …; Latin-1 as Node has them. */
  readonly headers: readonly string[]
  readonly body: Uint8Array | undefined
}

/** The head of an answer. */
export interface InspectedAnswer {
  readonly status: number
  readonly httpVersion: string
  readonly headers: readonly string[]
}

/** One rule that matched. */
export interface Hit {
  readonly ruleId: number
  readonly message: string
  /** Kind of attack, of a fixed list. */
  readonly category: HitCategory
  /** The few tags that say something: attack and paranoia level. */
  readonly tags: readonly string[]
  /** `ARGS:q`, at most 80 characters. */
  readonly variable: string
  /** At most 80 characters, secrets masked. */
  readonly value: string
  /** Sum of the points after this hit. */
  readonly score: number
}

export const HIT_CATEGORIES = [
  'sqli',
  'xss',
  'lfi',
  'rfi',
  'rce',
  'php',
  'nodejs',
  'java',
  'fixation',
  'scanner',
  'method',
  'protocol',
  'reputation',
  'leakage',
  'body',
  'custom',
] as const
export type HitCategory = (typeof HIT_CATEGORIES)[number]

/** What the engine says of one phase. */
export interface Verdict {
  readonly isBlocked: boolean
  /** The rule that decided; 0 = none did. */
  readonly ruleId: number
  readonly score: number
  readonly hits: readonly Hit[]
}

/** To a worker. `job` and `set` are numbers that the engine gives. */
export type WorkerCommand =
  | {
      readonly type: 'load'
      readonly job: number
      readonly set: number
      readonly parts: readonly RulePart[]
      /** Rules of higher levels add nothing to the score. */
      readonly blockingParanoia: number
    }
  | { readonly type: 'drop'; readonly set: number }
  | {
      readonly type: 'request'
      readonly job: number
      readonly set: number
      readonly request: InspectedRequest
      /** The transaction stays open, under the number of the job, for the answer. */
      readonly keep: boolean
    }
  | {
      readonly type: 'answer'
      readonly job: number
      readonly transaction: number
      readonly answer: InspectedAnswer
    }
  | {
      readonly type: 'answerBody'
      readonly job: number
      readonly transaction: number
      readonly body: Uint8Array
    }
  | { readonly type: 'end'; readonly transaction: number }
  | { readonly type: 'handles'; readonly job: number }
  | { readonly type: 'close' }

/** A command that is answered. */
export type WorkerJob = Extract<WorkerCommand, { readonly job: number }>

/** From a worker. */
export type WorkerReport =
  | { readonly type: 'ready'; readonly version: string }
  | { readonly type: 'missing'; readonly problem: string }
  | { readonly type: 'loaded'; readonly job: number; readonly rules: number }
  | { readonly type: 'done'; readonly job: number; readonly verdict: Verdict }
  | { readonly type: 'handles'; readonly job: number; readonly sets: number; readonly transactions: number }
  | { readonly type: 'failed'; readonly job: number; readonly problem: string }
