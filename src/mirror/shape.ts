import { elementPath, JSON_KINDS, type JsonField, memberPath } from '../core/json-field.ts'
import { type Json, kindOf } from './json.ts'

/** How far an answer is looked at. */
export interface ShapeBounds {
  readonly maxDepth: number
  /** Places that are kept of one shape. */
  readonly maxNodes: number
}

/** An object with more keys than this has them as data, not as fields: it is not looked into. */
const MAX_KEYS = 64
/** Elements of a list that are looked at. */
const MAX_ELEMENTS = 20
const MAX_KEY_LENGTH = 64

/** One place over many answers. Each answer counts once, however many elements it has there. */
export interface Place {
  /** The object around it; undefined for the root and for elements of lists. */
  readonly parent: string | undefined
  /** Answers that have it, by kind in the order of JSON_KINDS. */
  readonly kinds: number[]
  /** Answers that have it. */
  answers: number
  /** Answers in which every object around it has it. */
  complete: number
  /** Answers in which it is an object. */
  objects: number
}

/** What one place is in one answer. */
interface Seen {
  readonly parent: string | undefined
  kinds: number
  present: number
  objects: number
}

const OBJECT = JSON_KINDS.indexOf('object')

/** The shape of JSON answers, learnt from them; bounded in places, depth and width. */
export class Shape {
  readonly places = new Map<string, Place>()
  /** Answers that it was learnt from. */
  answers = 0
  /** It has more places than are kept. */
  isCut = false
  readonly #bounds: ShapeBounds

  constructor(bounds: ShapeBounds) {
    this.#bounds = bounds
  }

  /** Learns from one answer. */
  add(value: Json): void {
    const seen = new Map<string, Seen>()
    this.#look(value, '$', undefined, 0, seen)
    this.answers++
    for (const [path, { parent, kinds, present, objects }] of seen) {
      const place = this.#place(path, parent)
      if (place === undefined) continue
      place.answers++
      if (objects > 0) place.objects++
      if (parent === undefined || present === seen.get(parent)?.objects) place.complete++
      for (let i = 0; i < JSON_KINDS.length; i++) if ((kinds & (1 << i)) !== 0) (place.kinds[i] as number)++
    }
  }

  #look(value: Json, path: string, parent: string | undefined, depth: number, seen: Map<string, Seen>): void {
    const kind = kindOf(value)
    let own = seen.get(path)
    if (own === undefined) {
      if (seen.size >= this.#bounds.maxNodes) return
      own = { parent, kinds: 0, present: 0, objects: 0 }
      seen.set(path, own)
    }
    own.present++
    own.kinds |= 1 << JSON_KINDS.indexOf(kind)
    if (depth >= this.#bounds.maxDepth) return
    if (kind === 'array') {
      const below = elementPath(path)
      for (const element of (value as readonly Json[]).slice(0, MAX_ELEMENTS)) {
        this.#look(element, below, undefined, depth + 1, seen)
      }
    } else if (kind === 'object') {
      const keys = Object.keys(value as object)
      if (keys.length > MAX_KEYS) return
      own.objects++
      for (const key of keys) {
        if (key.length > MAX_KEY_LENGTH) continue
        this.#look((value as Record<string, Json>)[key] as Json, memberPath(path, key), path, depth + 1, seen)
      }
    }
  }

  #place(path: string, parent: string | undefined): Place | undefined {
    const known = this.places.get(path)
    if (known !== undefined) return known
    if (this.places.size >= this.#bounds.maxNodes) {
      this.isCut = true
      return undefined
    }
    const place: Place = { parent, kinds: JSON_KINDS.map(() => 0), answers: 0, complete: 0, objects: 0 }
    this.places.set(path, place)
    return place
  }

  /** Takes over what another one has learnt. */
  merge(other: Shape): void {
    this.answers += other.answers
    for (const [path, theirs] of other.places) {
      const place = this.#place(path, theirs.parent)
      if (place === undefined) continue
      place.answers += theirs.answers
      place.complete += theirs.complete
      place.objects += theirs.objects
      theirs.kinds.forEach((count, i) => {
        place.kinds[i] = (place.kinds[i] as number) + count
      })
    }
  }
}

/** So many answers stand behind a word of a schema. */
const CERTAIN = 1e9

/** A shape that was written down instead of learnt. */
export function shapeOfFields(fields: readonly JsonField[], bounds: ShapeBounds): Shape {
  const shape = new Shape(bounds)
  shape.answers = CERTAIN
  for (const { path, kinds, isRequired } of fields) {
    const own = JSON_KINDS.map((kind) => (kinds.includes(kind) ? CERTAIN : 0))
    shape.places.set(path, {
      parent: parentOf(path),
      kinds: own,
      answers: CERTAIN,
      complete: isRequired ? CERTAIN : 0,
      objects: own[OBJECT] as number,
    })
  }
  return shape
}

/** Of `$.a.b` it is `$.a`; elements of lists have none. */
function parentOf(path: string): string | undefined {
  if (path === '$' || path.endsWith('[*]')) return undefined
  return path.endsWith("']") ? path.slice(0, path.lastIndexOf("['")) : path.slice(0, path.lastIndexOf('.'))
}
