/** What a schema says of one place in a JSON document; of both OpenAPI and JSON Schema only this much is used. */
export interface JsonField {
  /** `$.items[*].id` */
  readonly path: string
  readonly kinds: readonly JsonKind[]
  /** The object around it must have it. */
  readonly isRequired: boolean
}

export type JsonKind = 'null' | 'boolean' | 'number' | 'string' | 'array' | 'object'

/** All kinds; their order is that of counters. */
export const JSON_KINDS: readonly JsonKind[] = ['null', 'boolean', 'number', 'string', 'array', 'object']

const PLAIN_KEY = /^[A-Za-z_$][\w$-]*$/

/** The path of a member: `$.a.b`, `$['a b']`. */
export function memberPath(path: string, key: string): string {
  if (PLAIN_KEY.test(key)) return `${path}.${key}`
  return `${path}['${JSON.stringify(key).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}']`
}

/** The path of every element of a list: places in a list are no places in a report. */
export const elementPath = (path: string): string => `${path}[*]`
