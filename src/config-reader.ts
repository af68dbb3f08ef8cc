import {
  type CachedFile,
  ConfigError,
  type ConfigProblem,
  type LoadedConfig,
  loadConfig,
} from './config/load.ts'
import type { ReleaseRule } from './core/canary.ts'
import { type ErrorCode, errorText, GatewayError } from './core/errors.ts'
import { identityOf } from './core/identity.ts'
import type { RouteSpec, ServicePolicy } from './core/route.ts'
import type { StoredFiles } from './core/stored-files.ts'
import { filterSchemas } from './filters/list.ts'

/** What the loader asks: a load, then those entries of the lists that it does not have yet. */
export type LoaderRequest =
  | {
      readonly kind: 'load'
      readonly path: string
      readonly env: Readonly<Record<string, string | undefined>>
      readonly overlay: ReadonlyMap<string, string> | undefined
      readonly stored: StoredFiles | undefined
    }
  | { readonly kind: 'take'; readonly list: ListName; readonly indexes: readonly number[] }

/** The long lists of a configuration; a canary rule may hold a long list of users. */
export type ListName = 'routes' | 'services' | 'canaries'

export type ListEntry = RouteSpec | ServicePolicy | ReleaseRule

/** What it is told. `ids`: `identityOf` each entry, in order; the lists of `config` itself are empty. */
export type LoaderAnswer =
  | {
      readonly kind: 'loaded'
      readonly config: LoadedConfig
      readonly ids: Readonly<Record<ListName, readonly string[]>>
    }
  | { readonly kind: 'taken'; readonly items: readonly ListEntry[] }
  | {
      readonly kind: 'failed'
      readonly code: ErrorCode
      readonly message: string
      readonly problems: readonly ConfigProblem[] | undefined
    }

/** This process lives only while there are edits; what it parsed serves the next one. */
const cache = new Map<string, CachedFile>()
let lists: Record<ListName, readonly ListEntry[]> = { routes: [], services: [], canaries: [] }

async function load({ path, env, overlay, stored }: LoaderRequest & { kind: 'load' }): Promise<LoaderAnswer> {
  const config = await loadConfig({
    path,
    env,
    filterSchemas: filterSchemas(),
    cache,
    ...(overlay === undefined ? {} : { overlay }),
    ...(stored === undefined ? {} : { stored }),
  })
  const { routes, services, canaries = [] } = config.dynamic
  lists = { routes, services, canaries }
  return {
    kind: 'loaded',
    config: { ...config, dynamic: { ...config.dynamic, routes: [], services: [], canaries: [] } },
    ids: {
      routes: routes.map(identityOf),
      services: services.map(identityOf),
      canaries: canaries.map(identityOf),
    },
  }
}

async function answer(request: LoaderRequest): Promise<LoaderAnswer> {
  try {
    if (request.kind === 'load') return await load(request)
    const list = lists[request.list]
    return { kind: 'taken', items: request.indexes.map((i) => list[i] as ListEntry) }
  } catch (thrown) {
    const code = thrown instanceof GatewayError ? thrown.code : 'GW_INTERNAL_STATE'
    const problems = thrown instanceof ConfigError ? thrown.problems : undefined
    return { kind: 'failed', code, message: errorText(thrown), problems }
  }
}

process.on('message', (request: LoaderRequest) => {
  void answer(request).then((reply) => process.send?.(reply))
})
// Ctrl-C goes to the whole group: the gateway decides when this ends. Without a gateway there is nothing to do.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('disconnect', () => process.exit(0))
