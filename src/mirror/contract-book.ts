import type { ContractSpec } from '../core/route.ts'
import { type Breach, findBreaches } from './contract.ts'
import type { Json } from './json.ts'
import { Shape, type ShapeBounds, shapeOfFields } from './shape.ts'

/** Versions of one route's answers that are remembered. */
const MAX_VERSIONS = 8
/** So many recent answers are judged together before they become earlier ones. */
const WINDOW = 200
const MAX_BREACHES = 200

/** A breach with where and when it was seen. */
export interface ContractBreach extends Breach {
  readonly route: string
  readonly service: string
  /** Absent for instances without one. */
  readonly version?: string
  /** Who kept it until then: another version, `schema`, or absent = earlier answers of the same one. */
  readonly against?: string
  /** ms since the epoch. */
  readonly firstSeen: number
}

/** One JSON answer that was looked at. */
export interface Observation {
  readonly route: string
  readonly service: string
  readonly version: string | undefined
  readonly value: Json
  readonly spec: ContractSpec
  /** ms since the epoch. */
  readonly at: number
}

export interface ContractView {
  readonly route: string
  readonly versions: readonly {
    readonly version?: string
    readonly service: string
    readonly answers: number
    readonly fields: number
    /** There are more fields than are kept. */
    readonly isCut: boolean
    readonly firstSeen: number
    readonly lastSeen: number
  }[]
  readonly hasSchema: boolean
  readonly breaches: readonly ContractBreach[]
}

interface VersionShapes {
  readonly version: string | undefined
  readonly service: string
  /** Answers that were as they should be. */
  readonly learnt: Shape
  window: Shape
  readonly firstSeen: number
  lastSeen: number
}

interface Page {
  readonly versions: Map<string, VersionShapes>
  spec: ContractSpec
  schema: Shape | undefined
  breaches: ContractBreach[]
}

const keyOf = (service: string, version: string | undefined) => `${service}\n${version ?? ''}`

/** What the JSON answers of each route look like, by version; bounded. */
export class ContractBook {
  readonly #pages = new Map<string, Page>()

  /** Learns from one answer and compares with what came before; gives what is new of it. */
  observe(observation: Observation): readonly ContractBreach[] {
    const { route, value, spec, at } = observation
    const page = this.#page(route, spec)
    const shapes = this.#shapes(page, observation)
    shapes.lastSeen = at
    shapes.window.add(value)
    const fresh = this.#judge(page, shapes, observation)
    const isSound = !page.breaches.some(
      ({ service, version }) => keyOf(service, version) === keyOf(shapes.service, shapes.version),
    )
    if (shapes.window.answers >= WINDOW || (isSound && shapes.learnt.answers < spec.minSamples)) {
      // A version that breaks the contract is one day the contract: when nobody serves the old one any more.
      shapes.learnt.merge(shapes.window)
      shapes.window = new Shape(boundsOf(spec))
    }
    return fresh
  }

  #page(route: string, spec: ContractSpec): Page {
    const known = this.#pages.get(route)
    if (known?.spec === spec) return known
    const schema = spec.fields === undefined ? undefined : shapeOfFields(spec.fields, boundsOf(spec))
    const page = known ?? { versions: new Map(), spec, schema, breaches: [] }
    page.spec = spec
    page.schema = schema
    this.#pages.set(route, page)
    return page
  }

  #shapes(page: Page, { service, version, spec, at }: Observation): VersionShapes {
    const key = keyOf(service, version)
    const known = page.versions.get(key)
    if (known !== undefined) return known
    if (page.versions.size >= MAX_VERSIONS) {
      const [oldest] = [...page.versions].sort(([, a], [, b]) => a.lastSeen - b.lastSeen)
      if (oldest !== undefined) page.versions.delete(oldest[0])
    }
    const bounds = boundsOf(spec)
    const learnt = new Shape(bounds)
    const made = { version, service, learnt, window: new Shape(bounds), firstSeen: at, lastSeen: at }
    page.versions.set(key, made)
    return made
  }

  #judge(page: Page, shapes: VersionShapes, { route, spec, at }: Observation): ContractBreach[] {
    const { service, version } = shapes
    const own = keyOf(service, version)
    const fresh: ContractBreach[] = []
    const isKnown = (breach: Breach) =>
      [...page.breaches, ...fresh].some(
        (one) =>
          one.path === breach.path &&
          one.kind === breach.kind &&
          one.after === breach.after &&
          keyOf(one.service, one.version) === own,
      )
    for (const { shape, name, recent } of this.#earlier(page, shapes, spec)) {
      for (const breach of findBreaches(shape, recent, spec)) {
        if (isKnown(breach) || page.breaches.length + fresh.length >= MAX_BREACHES) continue
        fresh.push({
          ...breach,
          route,
          service,
          ...(version === undefined ? {} : { version }),
          ...(name === undefined ? {} : { against: name }),
          firstSeen: at,
        })
      }
    }
    page.breaches.push(...fresh)
    return fresh
  }

  /** The schema when there is one; else the version that came before, and the version's own past. */
  #earlier(page: Page, shapes: VersionShapes, { minSamples }: ContractSpec): readonly Earlier[] {
    if (page.schema !== undefined) return [{ shape: page.schema, name: 'schema', recent: allOf(shapes) }]
    const found: Earlier[] = []
    let before: VersionShapes | undefined
    for (const other of page.versions.values()) {
      if (other === shapes) break
      if (other.learnt.answers >= minSamples) before = other
    }
    if (before !== undefined) {
      found.push({ shape: before.learnt, name: before.version ?? before.service, recent: allOf(shapes) })
    }
    const { learnt, window } = shapes
    if (learnt.answers >= minSamples) found.push({ shape: learnt, name: undefined, recent: window })
    return found
  }

  /** Forgets the answers of a route, so that what comes now is right. False = there are none. */
  forget(route: string): boolean {
    return this.#pages.delete(route)
  }

  /** Forgets routes that are no longer watched. */
  keepOnly(isWatched: (route: string) => boolean): void {
    for (const route of this.#pages.keys()) if (!isWatched(route)) this.#pages.delete(route)
  }

  /** Everything that was broken and not forgotten. */
  breaches(): readonly ContractBreach[] {
    return [...this.#pages.values()].flatMap(({ breaches }) => breaches)
  }

  view(): readonly ContractView[] {
    return [...this.#pages].map(([route, { versions, schema, breaches }]) => ({
      route,
      versions: [...versions.values()].map(({ version, service, learnt, window, firstSeen, lastSeen }) => ({
        ...(version === undefined ? {} : { version }),
        service,
        answers: learnt.answers + window.answers,
        fields: new Set([...learnt.places.keys(), ...window.places.keys()]).size,
        isCut: learnt.isCut || window.isCut,
        firstSeen,
        lastSeen,
      })),
      hasSchema: schema !== undefined,
      breaches: [...breaches],
    }))
  }
}

interface Earlier {
  readonly shape: Shape
  readonly name: string | undefined
  readonly recent: Shape
}

/** Everything a version answered. */
function allOf({ learnt, window }: VersionShapes): Shape {
  if (learnt.answers === 0) return window
  const all = new Shape({ maxDepth: 0, maxNodes: Number.POSITIVE_INFINITY })
  all.merge(learnt)
  all.merge(window)
  return all
}

const boundsOf = ({ maxDepth, maxFields }: ContractSpec): ShapeBounds => ({ maxDepth, maxNodes: maxFields })

/**
 * What speaks against giving a version more traffic: its breaches. For the ramp; pure. `service`: as in the table.
 */
export function breachesOf(
  breaches: readonly ContractBreach[],
  { service, version }: { readonly service: string; readonly version: string | undefined },
): readonly ContractBreach[] {
  return breaches.filter((breach) => breach.service === service && breach.version === version)
}
