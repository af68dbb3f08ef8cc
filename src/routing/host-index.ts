import type { RE2JS } from 're2js'
import type { RouteSpec } from '../core/route.ts'
import { type Conditions, compileConditions, compileRegex } from './conditions.ts'
import type { HostIndex, Route } from './table.ts'

/** A route in one host's index. */
export interface Entry {
  readonly route: Route
  readonly conditions: Conditions
  /** Names of the `{param}` segments, in order. */
  readonly params: readonly string[]
  readonly regex: RE2JS | undefined
}

/** An entry at its place in one host's order: 0 goes before everything else. */
export interface Ranked {
  readonly entry: Entry
  readonly rank: number
}

/** Below this many children they are compared one by one: no substring, no hash. */
const FEW = 8

/** One path segment of the trie. Lists are in order of rank. */
interface Node {
  /** Literal segments and where they lead, side by side. */
  readonly names: string[]
  readonly nodes: Node[]
  /** The same by name, when there are many. */
  byName: Map<string, Node> | undefined
  param: Node | undefined
  exact: Ranked[] | undefined
  prefix: Ranked[] | undefined
}

/** All routes of one host pattern. */
export interface PathIndex {
  readonly root: Node
  readonly regexes: readonly Ranked[]
  readonly size: number
}

/** A suffix pattern: `*.x` spans one label, `**.x` one or more. */
interface Suffix {
  readonly one: PathIndex | undefined
  readonly many: PathIndex | undefined
}

export interface CompiledHosts extends HostIndex {
  readonly exact: ReadonlyMap<string, PathIndex>
  /** By the part behind `*.` or `**.`. */
  readonly suffixes: ReadonlyMap<string, Suffix>
  readonly any: PathIndex | undefined
}

const createNode = (): Node => ({
  names: [],
  nodes: [],
  byName: undefined,
  param: undefined,
  exact: undefined,
  prefix: undefined,
})

/** The segments of a normalised path without the leading slash; `/a/` has the segments `a` and ``. */
export function splitPath(path: string): string[] {
  return path === '/' ? [] : path.slice(1).split('/')
}

/** A prefix ignores its trailing slash. */
export function patternSegments(spec: RouteSpec): string[] {
  const { kind, value } = spec.match.path
  const segments = splitPath(value)
  if (kind === 'prefix' && segments.at(-1) === '') segments.pop()
  return segments
}

export const isParam = (segment: string): boolean => segment.startsWith('{') && segment.endsWith('}')

/** One entry per route, shared by all hosts and tables that hold the route. */
export function createEntry(route: Route): Entry {
  const { path } = route.spec.match
  return {
    route,
    conditions: compileConditions(route.spec),
    params:
      path.kind === 'regex'
        ? []
        : patternSegments(route.spec)
            .filter(isParam)
            .map((s) => s.slice(1, -1)),
    regex: path.kind === 'regex' ? compileRegex(path.value) : undefined,
  }
}

function childOf(node: Node, segment: string): Node {
  const known = node.names.indexOf(segment)
  if (known !== -1) return node.nodes[known] as Node
  const child = createNode()
  node.names.push(segment)
  node.nodes.push(child)
  if (node.names.length > FEW) {
    node.byName ??= new Map(node.names.map((name, i) => [name, node.nodes[i] as Node]))
    node.byName.set(segment, child)
  }
  return child
}

/** The child for the segment of `path` from `start` to `end`. */
function findChild(node: Node, path: string, start: number, end: number): Node | undefined {
  if (node.byName !== undefined) return node.byName.get(path.slice(start, end))
  const { names } = node
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string
    if (name.length === end - start && path.startsWith(name, start)) return node.nodes[i]
  }
  return undefined
}

/** Builds the index of one host from entries in order of rank. */
export function buildPathIndex(entries: readonly Entry[]): PathIndex {
  const root = createNode()
  const regexes: Ranked[] = []
  entries.forEach((entry, rank) => {
    const { spec } = entry.route
    if (entry.regex !== undefined) {
      regexes.push({ entry, rank })
      return
    }
    let node = root
    for (const segment of patternSegments(spec)) {
      if (isParam(segment)) {
        node.param ??= createNode()
        node = node.param
      } else {
        node = childOf(node, segment)
      }
    }
    if (spec.match.path.kind === 'exact') {
      node.exact ??= []
      node.exact.push({ entry, rank })
    } else {
      node.prefix ??= []
      node.prefix.push({ entry, rank })
    }
  })
  return { root, regexes, size: entries.length }
}

/**
 * Calls `visit` with each list of entries whose path pattern takes this path; each list is in order of rank.
 * Lists come in no order among each other.
 */
export function visitCandidates(
  index: PathIndex,
  path: string,
  visit: (entries: readonly Ranked[]) => void,
): void {
  walk(index.root, path, 1, visit)
  for (const ranked of index.regexes) if (ranked.entry.regex?.matches(path) === true) visit([ranked])
}

/** `start`: where the next segment begins; past the end when the path is used up. */
function walk(node: Node, path: string, start: number, visit: (entries: readonly Ranked[]) => void): void {
  if (node.prefix !== undefined) visit(node.prefix)
  if (start > path.length || path.length === 1) {
    if (node.exact !== undefined) visit(node.exact)
    return
  }
  let end = path.indexOf('/', start)
  if (end === -1) end = path.length
  if (node.names.length > 0) {
    const child = findChild(node, path, start, end)
    if (child !== undefined) walk(child, path, end + 1, visit)
  }
  // An empty segment is no value for a parameter.
  if (node.param !== undefined && end > start) walk(node.param, path, end + 1, visit)
}

/** Host patterns from most to least specific: exact, then suffixes by length (`*.` before `**.`), then any. */
export function visitHosts(
  hosts: CompiledHosts,
  host: string,
  visit: (index: PathIndex, pattern: string) => boolean,
): void {
  const exact = hosts.exact.get(host)
  if (exact !== undefined && visit(exact, host)) return
  if (hosts.suffixes.size > 0) {
    for (let dot = host.indexOf('.'), labels = 1; dot !== -1; dot = host.indexOf('.', dot + 1), labels++) {
      const tail = host.slice(dot + 1)
      const suffix = hosts.suffixes.get(tail)
      if (suffix === undefined) continue
      if (labels === 1 && suffix.one !== undefined && visit(suffix.one, `*.${tail}`)) return
      if (suffix.many !== undefined && visit(suffix.many, `**.${tail}`)) return
    }
  }
  if (hosts.any !== undefined) visit(hosts.any, 'any host')
}
