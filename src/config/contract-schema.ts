import { elementPath, type JsonField, type JsonKind, memberPath } from '../core/json-field.ts'

/** `$ref`s that lead to `$ref`s. */
const MAX_REFS = 16

type Node = Readonly<Record<string, unknown>>

interface Part {
  readonly kinds: ReadonlySet<JsonKind>
  readonly properties: ReadonlyMap<string, readonly Node[]>
  readonly required: ReadonlySet<string>
  readonly items: readonly Node[]
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** What a JSON pointer (RFC 6901) leads to; undefined = nothing. */
export function atPointer(document: unknown, pointer: string): unknown {
  let value: unknown = document
  for (const step of pointer.replace(/^#/, '').split('/').slice(1)) {
    const key = decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~')
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Record<string, unknown>)[key]
  }
  return value
}

function kindsOf(node: Node): Set<JsonKind> {
  const kinds = new Set<JsonKind>()
  const add = (type: unknown) => {
    if (type === 'integer') kinds.add('number')
    else if (typeof type === 'string') kinds.add(type as JsonKind)
  }
  for (const type of [node['type']].flat()) add(type)
  for (const value of node['const'] === undefined
    ? ((node['enum'] as unknown[] | undefined) ?? [])
    : [node['const']]) {
    add(value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value)
  }
  if (kinds.size === 0 && isNode(node['properties'])) kinds.add('object')
  if (kinds.size === 0 && node['items'] !== undefined) kinds.add('array')
  // OpenAPI 3.0
  if (node['nullable'] === true && kinds.size > 0) kinds.add('null')
  return kinds
}

/** Reads a schema into the places it speaks of; what it leaves open is left out. */
class Reader {
  readonly fields: JsonField[] = []
  readonly #document: unknown
  readonly #limits: { readonly maxDepth: number; readonly maxFields: number }

  constructor(document: unknown, limits: { readonly maxDepth: number; readonly maxFields: number }) {
    this.#document = document
    this.#limits = limits
  }

  read(nodes: readonly Node[], path: string, isRequired: boolean, depth: number): void {
    if (this.fields.length >= this.#limits.maxFields) return
    const part = this.#joined(nodes)
    if (part.kinds.size === 0) return
    this.fields.push({ path, kinds: [...part.kinds], isRequired })
    if (depth >= this.#limits.maxDepth) return
    for (const [key, below] of part.properties) {
      this.read(below, memberPath(path, key), part.required.has(key), depth + 1)
    }
    if (part.items.length > 0) this.read(part.items, elementPath(path), false, depth + 1)
  }

  /** All of these together hold. */
  #joined(nodes: readonly Node[]): Part {
    const parts = nodes.map((node) => this.#part(node, 0))
    const spoken = parts.filter(({ kinds }) => kinds.size > 0)
    const [first] = spoken
    const kinds = new Set(
      [...(first?.kinds ?? [])].filter((kind) => spoken.every((one) => one.kinds.has(kind))),
    )
    const properties = new Map<string, Node[]>()
    for (const part of parts) {
      for (const [key, own] of part.properties) properties.set(key, [...(properties.get(key) ?? []), ...own])
    }
    return {
      kinds,
      properties,
      required: new Set(parts.flatMap(({ required }) => [...required])),
      items: parts.flatMap(({ items }) => items),
    }
  }

  #part(node: Node, refs: number): Part {
    const { $ref: ref, allOf } = node
    if (typeof ref === 'string') {
      const aim = refs < MAX_REFS && ref.startsWith('#') ? atPointer(this.#document, ref) : undefined
      return isNode(aim) ? this.#part(aim, refs + 1) : NOTHING
    }
    if (Array.isArray(allOf)) {
      const { allOf: _, ...own } = node
      return this.#joined([own, ...allOf.filter(isNode)])
    }
    const choices = [node['oneOf'], node['anyOf']].find(Array.isArray) as unknown[] | undefined
    if (choices !== undefined) {
      // Which of them it is cannot be told by a path alone: only the kinds are known.
      const parts = choices.filter(isNode).map((choice) => this.#part(choice, refs))
      const isOpen = parts.some(({ kinds }) => kinds.size === 0)
      return { ...NOTHING, kinds: new Set(isOpen ? [] : parts.flatMap(({ kinds }) => [...kinds])) }
    }
    const { properties, required, items } = node
    return {
      kinds: kindsOf(node),
      properties: new Map(
        Object.entries(isNode(properties) ? properties : {}).flatMap(([key, one]) =>
          isNode(one) ? [[key, [one]]] : [],
        ),
      ),
      required: new Set(Array.isArray(required) ? required.filter((key) => typeof key === 'string') : []),
      items: isNode(items) ? [items] : [],
    }
  }
}

const NOTHING: Part = { kinds: new Set(), properties: new Map(), required: new Set(), items: [] }

/**
 * The places that a JSON Schema (or a schema of an OpenAPI document) speaks of: kinds, and what is required. References
 * within the document are followed, to a depth; `oneOf` and `anyOf` give kinds alone.
 */
export function fieldsOfSchema(
  document: unknown,
  pointer: string,
  limits: { readonly maxDepth: number; readonly maxFields: number },
): JsonField[] {
  const schema = atPointer(document, pointer)
  if (!isNode(schema)) return []
  const reader = new Reader(document, limits)
  reader.read([schema], '$', true, 0)
  return reader.fields
}
