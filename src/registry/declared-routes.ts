import { errorText, GatewayError } from '../core/errors.ts'
import type { HeaderEdits, PathRewrite, RouteMatch, RouteSpec } from '../core/route.ts'
import type { Instance, RegistryState } from '../core/types.ts'
import { type Declaration, splitPlace } from './declaration.ts'
import { parseFabioTag } from './fabio.ts'

/** Whether and how services may declare routes. */
export interface DeclarationOptions {
  readonly enabled: boolean
  readonly tagPrefix: string
  readonly metaPrefix: string
  readonly fabio: boolean
  /** Host patterns that may be declared; empty = any. */
  readonly hosts: readonly string[]
}

export interface DeclaredRoutes {
  readonly routes: readonly RouteSpec[]
  /** One line for each declaration that was left out. */
  readonly problems: readonly string[]
}

const NONE: DeclaredRoutes = { routes: [], problems: [] }
const NO_EDITS: HeaderEdits = { remove: [], set: {}, add: {} }
/** `<prefix>route=shop.example.com/cart strip=/cart methods=GET,POST priority=5`. */
function parseTag(text: string): Declaration {
  const [place = '', ...options] = text.trim().split(/\s+/)
  let declaration: Declaration = splitPlace(place)
  for (const option of options) {
    const equals = option.indexOf('=')
    const [key, value] = [option.slice(0, equals), option.slice(equals + 1)]
    declaration = { ...declaration, ...parseOption(key, value) }
  }
  return declaration
}

function parseOption(key: string, value: string): Partial<Declaration> {
  if (key === 'strip') return { strip: splitPlace(value).path }
  if (key === 'methods' && /^[a-z-]+(?:,[a-z-]+)*$/i.test(value)) {
    return { methods: value.toUpperCase().split(',') }
  }
  if (key === 'priority' && /^-?\d{1,6}$/.test(value)) return { priority: Number(value) }
  throw new GatewayError(
    'GW_REGISTRY_ANSWER',
    `option "${key}=${value}" is not valid: strip=/path, methods=GET,POST, priority=5`,
  )
}

function parseMeta(meta: Readonly<Record<string, string>>, prefix: string): Declaration | undefined {
  const path = meta[`${prefix}path`]
  if (path === undefined) return undefined
  let declaration: Declaration = splitPlace(`${meta[`${prefix}host`] ?? ''}${path}`)
  for (const key of ['strip', 'methods', 'priority']) {
    const value = meta[prefix + key]
    if (value !== undefined) declaration = { ...declaration, ...parseOption(key, value) }
  }
  return declaration
}

function readInstance(
  instance: Instance,
  options: DeclarationOptions,
  onProblem: (text: string) => void,
): Declaration[] {
  const found: Declaration[] = []
  const attempt = (what: string, parse: () => Declaration | undefined) => {
    try {
      const declaration = parse()
      if (declaration !== undefined) found.push(declaration)
    } catch (thrown) {
      onProblem(`${instance.service} (${instance.id}): ${what}: ${errorText(thrown)}`)
    }
  }
  const own = `${options.tagPrefix}route=`
  for (const tag of instance.tags) {
    if (tag.startsWith(own)) attempt(`tag ${tag}`, () => parseTag(tag.slice(own.length)))
    else if (options.fabio && tag.startsWith('urlprefix-'))
      attempt(`tag ${tag}`, () => parseFabioTag(tag.slice(10)))
  }
  attempt('metadata', () => parseMeta(instance.meta, options.metaPrefix))
  return found
}

function isAllowed(host: string, patterns: readonly string[]): boolean {
  if (patterns.length === 0) return true
  return patterns.some((pattern) => {
    if (pattern === host) return true
    const rest = pattern.replace(/^\*{1,2}\./, '')
    if (rest === pattern || !host.endsWith(`.${rest}`)) return false
    if (pattern.startsWith('**.')) return true
    const label = host.slice(0, -rest.length - 1)
    return label !== '**' && !label.includes('.')
  })
}

function toSpec(service: string, instance: Instance, declaration: Declaration): RouteSpec {
  const { host, path, strip, redirect, hostMode, allowNetworks, methods, priority } = declaration
  const rewrite: PathRewrite | undefined = strip === undefined ? undefined : { kind: 'strip', prefix: strip }
  const match: RouteMatch = {
    hosts: host === '' ? [] : [host],
    path: { kind: 'prefix', value: path },
    methods: methods ?? [],
    headers: [],
    query: [],
    cookies: [],
    clientNetworks: [],
  }
  const source = `registry:${service}/${instance.id}`
  const allow = { name: 'ip-allow', type: 'ip-allow', options: { networks: allowNetworks ?? [] }, source }
  return {
    name: `declared:${service}:${host}${path}`,
    source,
    priority: priority ?? 0,
    match,
    action:
      redirect === undefined
        ? {
            kind: 'proxy',
            targets: [{ service, weight: 1 }],
            host: hostMode ?? 'preserve',
            ...(rewrite === undefined ? {} : { rewrite }),
          }
        : {
            kind: 'redirect',
            status: redirect.status,
            scheme: redirect.url.protocol === 'https:' ? 'https' : 'http',
            host: redirect.url.hostname,
            ...(redirect.url.port === '' ? {} : { port: Number(redirect.url.port) }),
            ...(redirect.url.pathname.includes('$path') ? {} : { path: redirect.url.pathname }),
            stripQuery: false,
          },
    filters: allowNetworks === undefined ? [] : [allow],
    requestHeaders: NO_EDITS,
    responseHeaders: NO_EDITS,
    timeouts: {},
    retries: {},
    labels: { declaredBy: service },
  }
}

interface Vote {
  readonly declaration: Declaration
  readonly instance: Instance
  votes: number
}

/** Instances that do not agree: the newest version decides, within it the majority. */
function elect(votes: readonly Vote[]): Vote {
  const compare = (a: string, b: string) => a.localeCompare(b, 'en', { numeric: true })
  return [...votes].sort(
    (a, b) => compare(b.instance.version ?? '', a.instance.version ?? '') || b.votes - a.votes,
  )[0] as Vote
}

function collect(
  service: string,
  instances: readonly Instance[],
  options: DeclarationOptions,
  problems: string[],
): RouteSpec[] {
  const places = new Map<string, Map<string, Vote>>()
  for (const instance of instances) {
    for (const declaration of readInstance(instance, options, (text) => problems.push(text))) {
      const place = `${declaration.host}${declaration.path}`
      if (!isAllowed(declaration.host, options.hosts)) {
        problems.push(`${service} (${instance.id}): host "${declaration.host}" may not be declared`)
        continue
      }
      const votes = places.get(place) ?? new Map<string, Vote>()
      places.set(place, votes)
      const id = `${instance.version ?? ''} ${JSON.stringify(declaration)}`
      const vote = votes.get(id)
      if (vote === undefined) votes.set(id, { declaration, instance, votes: 1 })
      else vote.votes++
    }
  }
  const routes: RouteSpec[] = []
  for (const [place, votes] of places) {
    const all = [...votes.values()]
    const winner = elect(all)
    const distinct = new Set(all.map(({ declaration }) => JSON.stringify(declaration)))
    if (distinct.size > 1)
      problems.push(`${service}: instances disagree on ${place}: the newest version decides`)
    routes.push(toSpec(service, winner.instance, winner.declaration))
  }
  return routes
}

interface Cached {
  readonly specs: readonly RouteSpec[]
  readonly problems: readonly string[]
}

/**
 * Routes that services declare by tags and metadata; opt-in. A wrong declaration is left out and listed, the
 * others live. Unchanged services give the same spec objects.
 */
export function createDeclaredRoutes(options: DeclarationOptions): (state: RegistryState) => DeclaredRoutes {
  const cache = new WeakMap<object, Cached>()
  const specs = new Map<string, RouteSpec>()
  return (state) => {
    if (!options.enabled) return NONE
    const routes: RouteSpec[] = []
    const problems: string[] = []
    const places = new Map<string, string>()
    for (const service of [...state.services.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
      let found = cache.get(service)
      if (found === undefined) {
        const own: string[] = []
        const collected = collect(service.name, service.instances, options, own)
        found = { specs: collected.map((spec) => sameSpec(specs, spec)), problems: own }
        cache.set(service, found)
      }
      problems.push(...found.problems)
      for (const spec of found.specs) {
        const place = JSON.stringify([spec.match, spec.priority])
        const owner = places.get(place)
        if (owner !== undefined) {
          problems.push(`${service.name}: ${spec.name} is declared by ${owner}, too: ${owner} has it`)
          continue
        }
        places.set(place, service.name)
        routes.push(spec)
      }
    }
    return { routes, problems }
  }
}

function sameSpec(specs: Map<string, RouteSpec>, spec: RouteSpec): RouteSpec {
  const old = specs.get(spec.name)
  if (
    old !== undefined &&
    JSON.stringify({ ...old, source: '' }) === JSON.stringify({ ...spec, source: '' })
  ) {
    return old
  }
  specs.set(spec.name, spec)
  return spec
}
