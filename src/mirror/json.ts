import type { JsonKind } from '../core/json-field.ts'

/** A number that a double cannot hold, in one canonical text: two that differ in the last digit stay different. */
export class ExactNumber {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

export type Json =
  | null
  | boolean
  | number
  | string
  | ExactNumber
  | readonly Json[]
  | { readonly [key: string]: Json }

/** A double holds every number of so many digits. */
const SAFE_DIGITS = 15
/** Numbers that may be beyond it; texts may look like it, too, which costs only time. */
const MAY_BE_LONG = /[\d.]{16}|\d[eE]/

/** The value of a number's text: sign, digits without zeros around them, power of ten. `0` for every zero. */
function canonical(text: string): { readonly digits: string; readonly text: string } {
  const [, sign = '', whole = '', fraction = '', power = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? []
  const all = (whole + fraction).replace(/^0+/, '')
  const digits = all.replace(/0+$/, '')
  if (digits === '') return { digits, text: '0' }
  const exponent = Number(power) - fraction.length + (all.length - digits.length)
  return { digits, text: `${sign}${digits}e${exponent}` }
}

function exactly(value: number, source: string): number | ExactNumber {
  const { digits, text } = canonical(source)
  const isHeld = digits.length <= SAFE_DIGITS && Number.isFinite(value) && (value !== 0 || digits === '')
  return isHeld ? value : new ExactNumber(text)
}

function revive(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  return typeof value === 'number' && context?.source !== undefined ? exactly(value, context.source) : value
}

/** The value of a JSON text without loss of digits; undefined when it is no JSON or nested too deeply to walk. */
export function parseJson(text: string): Json | undefined {
  try {
    return JSON.parse(text, MAY_BE_LONG.test(text) ? revive : undefined) as Json
  } catch {
    // SyntaxError, or RangeError for a nesting of thousands.
    return undefined
  }
}

export function kindOf(value: Json): JsonKind {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  if (value instanceof ExactNumber) return 'number'
  return typeof value as JsonKind
}
