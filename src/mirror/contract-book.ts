import type { ContractSpec } from '../core/route.ts'
import { type Breach, findBreaches } from './contract.ts'
import type { Json } from './json.ts'
import { Shape, type ShapeBounds, shapeOfFields } from './shape.ts'

/** Versions of one route's answers that are remembered. */
const MAX_VERSIONS = 8
/** So many recent answers are judged together before they become earlier ones. */
const WINDOW = 200
const MAX_BREACHES = 200
/** Breaches of one route that were forgotten and are not told again. */
const MAX_ACCEPTED = 1000

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
  /** Of a version that a release compares with (true), of one that it gives to some (false). Absent = no release. */
  readonly isStable?: boolean | undefined
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
  isStable: boolean | undefined
}

interface Page {
  readonly versions: Map<string, VersionShapes>
  spec: ContractSpec
  schema: Shape | undefined
  breaches: ContractBreach[]
}

const keyOf = (service: string, version: string | undefined) => `${service}\n${version ?? ''}`

const identityOf = ({ service, version, kind, path, after }: Omit<ContractBreach, 'route' | 'firstSeen'>) =>
  [keyOf(service, version), kind, path, after].join('\n')

/** What the JSON answers of each route look like, by version; bounded. */
export class ContractBook {
  readonly #pages = new Map<string, Page>()
  /** By route: differences between versions that somebody called right. */
  readonly #accepted = new Map<string, ReadonlySet<string>>()

  /** Learns from one answer and compares with what came before; gives what is new of it. */
  observe(observation: Observation): readonly ContractBreach[] {
    const { route, value, spec, at } = observation
    const page = this.#page(route, spec)
    const shapes = this.#shapes(page, observation)
    shapes.lastSeen = at
    shapes.isStable = observation.isStable
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
    const window = new Shape(bounds)
    const made = { version, service, learnt, window, firstSeen: at, lastSeen: at, isStable: undefined }
    page.versions.set(key, made)
    return made
  }

  #judge(page: Page, shapes: VersionShapes, { route, spec, at }: Observation): ContractBreach[] {
    const { service, version } = shapes
    const fresh: ContractBreach[] = []
    const known = new Set(page.breaches.map(identityOf))
    const accepted = this.#accepted.get(route)
    for (const { shape, name, recent } of this.#earlier(page, shapes, spec)) {
      const isCompared = name !== undefined && page.schema === undefined
      for (const breach of findBreaches(shape, recent, spec)) {
        const told: ContractBreach = {
          ...breach,
          route,
          service,
          ...(version === undefined ? {} : { version }),
          ...(name === undefined ? {} : { against: name }),
          firstSeen: at,
        }
        const identity = identityOf(told)
        if (known.has(identity) || page.breaches.length + fresh.length >= MAX_BREACHES) continue
        if (isCompared && accepted?.has(identity) === true) continue
        known.add(identity)
        fresh.push(told)
      }
    }
    page.breaches.push(...fresh)
    return fresh
  }

  /** The schema when there is one; else the version that came before, and the version's own past. */
  #earlier(page: Page, shapes: VersionShapes, { minSamples }: ContractSpec): readonly Earlier[] {
    if (page.schema !== undefined) return [{ shape: page.schema, name: 'schema', recent: allOf(shapes) }]
    const found: Earlier[] = []
    const before = versionBefore([...page.versions.values()], shapes, minSamples)
    if (before !== undefined) {
      found.push({ shape: before.learnt, name: before.version ?? before.service, recent: allOf(shapes) })
    }
    const { learnt, window } = shapes
    if (learnt.answers >= minSamples) found.push({ shape: learnt, name: undefined, recent: window })
    return found
  }

  /** Forgets the answers of a route, so that what comes now is right. False = there are none. */
  forget(route: string): boolean {
    const page = this.#pages.get(route)
    if (page === undefined) return false
    // Two versions that are both there would soon be held against each other again.
    const between = page.breaches.filter(({ against }) => against !== undefined).map(identityOf)
    const accepted = [...(this.#accepted.get(route) ?? []), ...between]
    this.#accepted.set(route, new Set(accepted.slice(-MAX_ACCEPTED)))
    return this.#pages.delete(route)
  }

  /** Forgets routes that are no longer watched. */
  keepOnly(isWatched: (route: string) => boolean): void {
    for (const route of this.#pages.keys()) if (!isWatched(route)) this.#pages.delete(route)
    for (const route of this.#accepted.keys()) if (!isWatched(route)) this.#accepted.delete(route)
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

/**
 * What a version is held against. Of a release it is known which one is the old one, however late it is seen: a gateway that
 * starts in the middle may meet the new one first.
 */
function versionBefore(
  versions: readonly VersionShapes[],
  shapes: VersionShapes,
  minSamples: number,
): VersionShapes | undefined {
  const isUsable = (other: VersionShapes) => other !== shapes && other.learnt.answers >= minSamples
  if (shapes.isStable === false) {
    const stable = versions.findLast(
      (other) => other.isStable === true && other.service === shapes.service && isUsable(other),
    )
    if (stable !== undefined) return stable
  }
  const earlier = versions.slice(0, versions.indexOf(shapes)).filter(isUsable)
  return earlier.findLast((other) => shapes.isStable !== true || other.isStable !== false)
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
