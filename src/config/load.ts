import { hash } from 'node:crypto'
import type { DynamicConfig, FilterSpec, RouteSpec, ServicePolicy } from '../core/route.ts'
import { type CanaryFile, canaryFile } from './canaries.ts'
import { type CanaryPart, collectCanaries } from './canary-load.ts'
import { readContracts } from './contract-files.ts'
import { anonymousService, toFilter, toPolicy, toRoute } from './convert.ts'
import type { ConfigDocument } from './document.ts'
import { absolutePaths } from './filter-paths.ts'
import { ConfigError, type ConfigProblem, didYouMean } from './problems.ts'
import {
  filesOf,
  type LoadOptions,
  mainPath,
  parse,
  type ReadFile,
  readDocument,
  storedOf,
} from './read-files.ts'
import { blameOverride, resolveEnvironment, resolveFiles, withOverrides } from './resolve.ts'
import { type FilterInput, filterDefinition } from './routes.ts'
import { type MainFile, mainFile, type RoutesFile, routesFile, type StaticConfig } from './schema.ts'

export { ConfigError, type ConfigProblem, formatProblems } from './problems.ts'
export type { CachedFile, LoadOptions } from './read-files.ts'
export type { StaticConfig } from './schema.ts'

export interface LoadedConfig {
  readonly static: StaticConfig
  readonly dynamic: DynamicConfig
  /** Every file that was read: to be watched. Absolute. */
  readonly files: readonly string[]
  /** Before the first file was read. ms since the epoch. */
  readonly readAt: number
  /** Hash of everything that was read. */
  readonly hash: string
  /** Hash of the static part: when it differs, a restart is needed. */
  readonly staticHash: string
  readonly warnings: readonly ConfigProblem[]
}

interface Part {
  readonly document: ConfigDocument
  readonly value: RoutesFile
}

/** Looks for the same name in two places, over all files. */
class NameBook {
  readonly #places = new Map<string, string>()

  claim(
    kind: string,
    name: string,
    document: ConfigDocument,
    path: PropertyKey[],
    problems: ConfigProblem[],
  ): boolean {
    const key = `${kind} ${name}`
    const first = this.#places.get(key)
    const place = document.source(path)
    if (first === undefined) {
      this.#places.set(key, place)
      return true
    }
    problems.push(
      document.problem(
        path,
        `${kind} "${name}" exists already at ${first}`,
        'give it another name, or delete one',
      ),
    )
    return false
  }
}

function checkFilter(
  part: Part,
  path: PropertyKey[],
  input: FilterInput,
  schemas: LoadOptions['filterSchemas'],
  problems: ConfigProblem[],
): void {
  if (schemas === undefined) return
  const schema = schemas.get(input.type)
  if (schema === undefined) {
    const near = didYouMean(input.type, schemas.keys())
    const all = `there are ${[...schemas.keys()].join(', ')}`
    const fix = near === undefined ? all : `did you mean "${near}"? ${all}`
    problems.push(part.document.problem([...path, 'type'], `unknown filter type "${input.type}"`, fix))
    return
  }
  const { type: _type, onError: _onError, mode: _mode, ...options } = input
  const result = schema.safeParse(options, { reportInput: true })
  if (!result.success) problems.push(...part.document.fromIssues(schema, result.error.issues, path))
}

/** A filter with its place; files that it names are relative to the one it is written in. */
function placedFilter(
  part: Part,
  path: PropertyKey[],
  name: string,
  input: FilterInput,
  schemas: LoadOptions['filterSchemas'],
): FilterSpec {
  const spec = toFilter(name, input, part.document.source(path))
  const schema = schemas?.get(spec.type)
  if (schema === undefined) return spec
  return { ...spec, options: absolutePaths(schema, spec.options, part.document.folder) }
}

function collectFilters(
  parts: readonly Part[],
  options: LoadOptions,
  problems: ConfigProblem[],
): Map<string, FilterSpec> {
  const filters = new Map<string, FilterSpec>()
  const names = new NameBook()
  for (const part of parts) {
    for (const [name, input] of Object.entries(part.value.filters)) {
      const path = ['filters', name]
      if (!names.claim('filter', name, part.document, path, problems)) continue
      checkFilter(part, path, input, options.filterSchemas, problems)
      filters.set(name, placedFilter(part, path, name, input, options.filterSchemas))
    }
  }
  return filters
}

function collectServices(parts: readonly Part[], main: MainFile, problems: ConfigProblem[]): ServicePolicy[] {
  const services: ServicePolicy[] = []
  const names = new NameBook()
  for (const { document, value } of parts) {
    for (const [name, input] of Object.entries(value.services)) {
      const path = ['services', name]
      if (!names.claim('service', name, document, path, problems)) continue
      for (const registry of input.registry === undefined ? [] : [input.registry].flat()) {
        if (registry in main.registries) continue
        const near = didYouMean(registry, Object.keys(main.registries))
        const fix = near === undefined ? 'define it under registries' : `did you mean "${near}"?`
        problems.push(document.problem([...path, 'registry'], `registry "${registry}" is not defined`, fix))
      }
      services.push(toPolicy(name, input, main.defaults, document.source(path), Object.keys(main.registries)))
    }
  }
  return services
}

interface RouteContext {
  readonly filters: ReadonlyMap<string, FilterSpec>
  readonly serviceNames: ReadonlySet<string>
  readonly hasRegistry: boolean
  readonly options: LoadOptions
  readonly problems: ConfigProblem[]
}

function routeFilters(part: Part, index: number, context: RouteContext): FilterSpec[] {
  const found: FilterSpec[] = []
  part.value.routes[index]?.filters.forEach((entry, position) => {
    const path = ['routes', index, 'filters', position]
    if (typeof entry !== 'string') {
      checkFilter(part, path, entry, context.options.filterSchemas, context.problems)
      const input = filterDefinition.parse(entry)
      found.push(placedFilter(part, path, entry.type, input, context.options.filterSchemas))
      return
    }
    const filter = context.filters.get(entry)
    if (filter !== undefined) {
      found.push(filter)
      return
    }
    const near = didYouMean(entry, context.filters.keys())
    const isType = context.options.filterSchemas?.has(entry) === true
    const inline = isType ? `write { type: ${entry} }, or define it under filters` : 'define it under filters'
    context.problems.push(
      part.document.problem(
        path,
        `filter "${entry}" is not defined`,
        near === undefined ? inline : `did you mean "${near}"?`,
      ),
    )
  })
  return found
}

function checkTargets(part: Part, index: number, context: RouteContext): void {
  const route = part.value.routes[index]
  if (context.hasRegistry || route === undefined) return
  const named: [string, PropertyKey[]][] = (route.services ?? []).map(({ service }, i) => [
    service,
    ['services', i, 'service'],
  ])
  if (route.service !== undefined) named.push([route.service, ['service']])
  if (route.mirror?.service !== undefined) named.push([route.mirror.service, ['mirror', 'service']])
  for (const [service, path] of named) {
    if (context.serviceNames.has(service)) continue
    const near = didYouMean(service, context.serviceNames)
    const fix =
      near === undefined ? 'define it under services, or define a registry' : `did you mean "${near}"?`
    context.problems.push(
      part.document.problem(
        ['routes', index, ...path],
        `service "${service}" is not defined, and there is no registry to find it in`,
        fix,
      ),
    )
  }
}

function collectRoutes(
  parts: readonly Part[],
  main: MainFile,
  context: RouteContext,
): { routes: RouteSpec[]; anonymous: ServicePolicy[] } {
  const routes: RouteSpec[] = []
  const anonymous: ServicePolicy[] = []
  const names = new NameBook()
  for (const part of parts) {
    part.value.routes.forEach((input, index) => {
      const source = part.document.source(['routes', index])
      if (!names.claim('route', input.name, part.document, ['routes', index, 'name'], context.problems))
        return
      checkTargets(part, index, context)
      routes.push(toRoute(input, routeFilters(part, index, context), source))
      if (input.upstreams === undefined) return
      anonymous.push(
        toPolicy(anonymousService(input.name), { upstreams: input.upstreams }, main.defaults, source),
      )
    })
  }
  return { routes, anonymous }
}

function parseCanaries(documents: readonly ConfigDocument[], problems: ConfigProblem[]): CanaryPart[] {
  return documents.flatMap((document) => {
    const value: CanaryFile | undefined = parse(document, canaryFile, problems)
    return value === undefined ? [] : [{ document, value }]
  })
}

function parseMain(head: ConfigDocument, env: NodeJS.ProcessEnv) {
  const found: ConfigProblem[] = []
  const value = parse(head, mainFile, found, withOverrides(head.value, env))
  return { value, problems: found.map((problem) => blameOverride(problem, env)) }
}

/** What was valid and holds no references is not parsed again while its text is the same. */
function parseRoutes(
  { document, text }: ReadFile,
  { cache }: LoadOptions,
  problems: ConfigProblem[],
): RoutesFile | undefined {
  const cached = cache?.get(document.file)
  const value = cached?.value ?? parse(document, routesFile, problems)
  if (value !== undefined && cached === undefined && !text.includes('${')) {
    cache?.set(document.file, { text, document, value })
  }
  return value
}

/**
 * The static part alone: what says where the rest is. Undefined when there is no `configuration` in it. Throws
 * ConfigError, GW_CONFIG_UNREADABLE.
 */
export async function loadStatic(options: LoadOptions): Promise<StaticConfig | undefined> {
  const { document, text } = await readDocument(await mainPath(options), options)
  if (!text.includes('configuration')) return undefined
  const { value, problems } = parseMain(document, options.env ?? {})
  if (value === undefined) throw new ConfigError(problems)
  if (value.configuration === undefined) return undefined
  const { main } = await resolveFiles(value, [], [{ document }], problems)
  return resolveEnvironment(main, options.env ?? {})
}

/**
 * Reads sluice.yaml, routes.d and canary.d beside it, and what a store has of them; resolves references, checks
 * everything, fills in defaults.
 * Throws ConfigError (GW_CONFIG_INVALID) with every mistake at once, or GW_CONFIG_UNREADABLE when there is no
 * such file.
 */
export async function loadConfig(options: LoadOptions): Promise<LoadedConfig> {
  const env = options.env ?? {}
  const readAt = Date.now()
  const main = await mainPath(options)
  const onDisk = {
    routes: await filesOf(main, 'routes.d', options),
    canary: await filesOf(main, 'canary.d', options),
  }
  const read = (files: readonly string[]) => Promise.all(files.map((file) => readDocument(file, options)))
  const [first, ...ownRoutes] = (await read([main, ...onDisk.routes])) as [ReadFile, ...ReadFile[]]
  const ownCanary = await read(onDisk.canary)
  const head = first.document
  const { value, problems } = parseMain(head, env)
  const stored = (beside: string) =>
    value === undefined ? [] : storedOf(main, beside, value.configuration, options)
  const routeTexts = [...ownRoutes, ...stored('routes.d')]
  const canaryTexts = [...ownCanary, ...stored('canary.d')]
  const texts = [first, ...routeTexts, ...canaryTexts]
  const parts: Part[] = value === undefined ? [] : [{ document: head, value }]
  for (const each of routeTexts) {
    const part = parseRoutes(each, options, problems)
    if (part !== undefined) parts.push({ document: each.document, value: part })
  }
  const canaryParts = parseCanaries(
    canaryTexts.map(({ document }) => document),
    problems,
  )
  if (value === undefined) throw new ConfigError(problems)

  const filters = collectFilters(parts, options, problems)
  const services = collectServices(parts, value, problems)
  const context: RouteContext = {
    filters,
    serviceNames: new Set(services.map((service) => service.name)),
    hasRegistry: Object.keys(value.registries).length > 0,
    options,
    problems,
  }
  const releases = await collectCanaries([{ document: head, value }, ...canaryParts], problems)
  const collected = collectRoutes(parts, value, context)
  const { anonymous } = collected
  const { routes, schemas } = await readContracts(collected.routes, parts, problems)
  const resolved = await resolveFiles(value, [...services, ...anonymous], parts, problems)
  const withEnv = resolveEnvironment(resolved.main, env)
  if (problems.some((problem) => problem.severity === 'error')) throw new ConfigError(problems)

  const {
    version: _v,
    routes: _r,
    services: _s,
    filters: _f,
    canaries: _c,
    lanes: _l,
    defaults,
    hostFallback,
    mergeSlashes,
    ...rest2
  } = withEnv
  const staticHash = hash('sha256', JSON.stringify(rest2), 'hex')
  return {
    static: rest2,
    readAt,
    dynamic: {
      routes,
      services: resolved.services,
      canaries: releases.canaries,
      defaultPolicy: toPolicy('', {}, defaults, head.source(['defaults']), Object.keys(withEnv.registries)),
      hostFallback,
      mergeSlashes,
    },
    files: [
      main,
      ...onDisk.routes,
      ...onDisk.canary,
      ...texts.flatMap(({ document }) => document.references),
      ...resolved.files,
      ...releases.files,
      ...schemas.map(({ file }) => file),
    ],
    hash: hash(
      'sha256',
      [
        staticHash,
        ...texts.map(({ text }) => text),
        JSON.stringify([resolved.services, releases.canaries]),
        ...schemas.map(({ text }) => text),
      ].join('\n'),
      'hex',
    ),
    staticHash,
    warnings: problems,
  }
}
