import { elementPath, memberPath } from '../core/json-field.ts'
import { compilePaths, ELEMENT, type Steps } from '../core/json-path.ts'
import { ExactNumber, type Json, kindOf, parseJson } from './json.ts'

/** In what two answers differ. */
export type DifferenceKind = 'status' | 'header' | 'missing' | 'added' | 'type' | 'value' | 'length' | 'body'

export const DIFFERENCE_KINDS: readonly DifferenceKind[] = [
  'status',
  'header',
  'missing',
  'added',
  'type',
  'value',
  'length',
  'body',
]

/** One difference; `path` is `status`, `header:NAME`, or where in the JSON: `$.items[*].price`. */
export interface Difference {
  readonly kind: DifferenceKind
  readonly path: string
  /** Of the first answer; undefined = not there. */
  readonly first?: Json
  readonly second?: Json
}

/** One answer as it is compared. Header names are lower case. */
export interface Answer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  /** Decoded; undefined = not there as a whole, so bodies are not compared. */
  readonly body: Buffer | undefined
}

/** What to compare; made once from what an operator wrote. */
export interface CompareRules {
  isIgnoredPath(path: Steps): boolean
  readonly ignoredHeaders: ReadonlySet<string>
  /** Numbers are equal up to this share of the larger one. */
  readonly tolerance: number
}

/** They differ with every answer, or follow from the body, or are a matter of one connection. */
const NEVER_COMPARED: readonly string[] = [
  'age',
  'connection',
  'content-encoding',
  'content-length',
  'date',
  'etag',
  'expires',
  'keep-alive',
  'last-modified',
  'server-timing',
  'set-cookie',
  'traceparent',
  'transfer-encoding',
  'x-request-id',
]

/** More of one pair say nothing new. */
const MAX_DIFFERENCES = 200
/** Below this values are taken for equal: nobody writes JSON that deep, and the stack is finite. */
const MAX_DEPTH = 64

/** `ignore`: paths, and `header:NAME`. Throws GW_CONFIG_INVALID for a path that is none. */
export function compileRules(ignore: readonly string[], tolerance: number): CompareRules {
  const isHeader = (text: string) => text.startsWith('header:')
  const headers = ignore.filter(isHeader).map((text) => text.slice('header:'.length).toLowerCase())
  return {
    isIgnoredPath: compilePaths(ignore.filter((text) => !isHeader(text))),
    ignoredHeaders: new Set([...NEVER_COMPARED, ...headers]),
    tolerance,
  }
}

class Comparison {
  readonly found: Difference[] = []
  readonly #rules: CompareRules
  readonly #steps: string[] = []

  constructor(rules: CompareRules) {
    this.#rules = rules
  }

  get isFull(): boolean {
    return this.found.length >= MAX_DIFFERENCES
  }

  note(kind: DifferenceKind, path: string, first?: Json, second?: Json): void {
    if (this.isFull) return
    this.found.push({
      kind,
      path,
      ...(first === undefined ? {} : { first }),
      ...(second === undefined ? {} : { second }),
    })
  }

  headers(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): void {
    for (const name of new Set([...a.keys(), ...b.keys()])) {
      if (this.#rules.ignoredHeaders.has(name) || a.get(name) === b.get(name)) continue
      this.note('header', `header:${name}`, a.get(name), b.get(name))
    }
  }

  json(a: Json, b: Json, path: string, depth: number): void {
    if (depth > MAX_DEPTH || this.isFull || a === b) return
    const [kind, other] = [kindOf(a), kindOf(b)]
    if (kind !== other) this.note('type', path, a, b)
    else if (kind === 'object') this.#objects(a as JsonObject, b as JsonObject, path, depth)
    else if (kind === 'array') this.#arrays(a as readonly Json[], b as readonly Json[], path, depth)
    else if (!this.#isSameLeaf(a, b)) this.note('value', path, a, b)
  }

  #isSameLeaf(a: Json, b: Json): boolean {
    if (kindOf(a) !== 'number') return a === b
    if (a instanceof ExactNumber && b instanceof ExactNumber && a.text === b.text) return true
    const { tolerance } = this.#rules
    if (tolerance === 0) return a === b
    const [x, y] = [numberOf(a), numberOf(b)]
    return x === y || Math.abs(x - y) <= tolerance * Math.max(Math.abs(x), Math.abs(y))
  }

  #objects(a: JsonObject, b: JsonObject, path: string, depth: number): void {
    for (const key of Object.keys(a)) {
      this.#within(key, () => {
        const own = a[key] as Json
        if (!Object.hasOwn(b, key)) this.note('missing', memberPath(path, key), own)
        else this.json(own, b[key] as Json, memberPath(path, key), depth + 1)
      })
    }
    for (const key of Object.keys(b)) {
      if (Object.hasOwn(a, key)) continue
      this.#within(key, () => this.note('added', memberPath(path, key), undefined, b[key]))
    }
  }

  #arrays(a: readonly Json[], b: readonly Json[], path: string, depth: number): void {
    if (a.length !== b.length) this.note('length', path, a.length, b.length)
    const below = elementPath(path)
    this.#within(ELEMENT, () => {
      for (let i = 0; i < Math.min(a.length, b.length); i++) {
        this.json(a[i] as Json, b[i] as Json, below, depth + 1)
      }
    })
  }

  /** One step further down, unless the operator does not care what is there. */
  #within(step: string, compare: () => void): void {
    this.#steps.push(step)
    if (!this.#rules.isIgnoredPath(this.#steps)) compare()
    this.#steps.pop()
  }
}

type JsonObject = { readonly [key: string]: Json }

const numberOf = (value: Json): number =>
  value instanceof ExactNumber ? Number(value.text) : (value as number)

/** What differs between two JSON values. Pure. The order of keys means nothing, that of elements does. */
export function compareJson(first: Json, second: Json, rules: CompareRules): Difference[] {
  const comparison = new Comparison(rules)
  comparison.json(first, second, '$', 0)
  return comparison.found
}

const isJson = (answer: Answer): boolean =>
  /^application\/(?:[\w.+-]+\+)?json\b/i.test(answer.headers.get('content-type') ?? '')

/**
 * What differs between two answers: status, headers, and the body, by JSON path when both are JSON, else as bytes.
 * Pure. At most 200 differences. Bodies are left out when the status differs: an error page has nothing in common
 * with an answer.
 */
export function compareAnswers(first: Answer, second: Answer, rules: CompareRules): Difference[] {
  const comparison = new Comparison(rules)
  if (first.status !== second.status) {
    comparison.note('status', 'status', first.status, second.status)
    return comparison.found
  }
  comparison.headers(first.headers, second.headers)
  const [a, b] = [first.body, second.body]
  if (a === undefined || b === undefined || a.equals(b)) return comparison.found
  const parsed =
    isJson(first) && isJson(second) ? [parseJson(a.toString('utf8')), parseJson(b.toString('utf8'))] : []
  const [left, right] = parsed
  if (left !== undefined && right !== undefined) comparison.json(left, right, '$', 0)
  else if (!rules.isIgnoredPath([])) comparison.note('body', '$', a.length, b.length)
  return comparison.found
}
