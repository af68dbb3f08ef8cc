import { parentPort } from 'node:worker_threads'
import { ConfigError, type ConfigProblem, type LoadedConfig, loadConfig } from './config/load.ts'
import { type ErrorCode, errorText, GatewayError } from './core/errors.ts'
import type { RouteSpec } from './core/route.ts'
import { filterSchemas } from './filters/list.ts'

/** What the loader asks: a load, then its routes, one portion at a time. */
export type LoaderRequest =
  | {
      readonly kind: 'load'
      readonly path: string
      readonly env: Readonly<Record<string, string | undefined>>
      readonly overlay: ReadonlyMap<string, string> | undefined
    }
  | { readonly kind: 'routes' }

/** What it is told. */
export type LoaderAnswer =
  | { readonly kind: 'loaded'; readonly config: LoadedConfig }
  | { readonly kind: 'routes'; readonly routes: readonly RouteSpec[] }
  | {
      readonly kind: 'failed'
      readonly code: ErrorCode
      readonly message: string
      readonly problems: readonly ConfigProblem[] | undefined
    }

/** Routes in one message: what the other side can take in within a millisecond or two. */
const PORTION = 200

let left: readonly RouteSpec[] = []

async function answer(request: LoaderRequest): Promise<LoaderAnswer> {
  if (request.kind === 'routes') {
    const routes = left.slice(0, PORTION)
    left = left.slice(PORTION)
    return { kind: 'routes', routes }
  }
  const { path, env, overlay } = request
  try {
    const config = await loadConfig({
      path,
      env,
      filterSchemas: filterSchemas(),
      ...(overlay === undefined ? {} : { overlay }),
    })
    left = config.dynamic.routes
    return { kind: 'loaded', config: { ...config, dynamic: { ...config.dynamic, routes: [] } } }
  } catch (thrown) {
    const code = thrown instanceof GatewayError ? thrown.code : 'GW_INTERNAL_STATE'
    const problems = thrown instanceof ConfigError ? thrown.problems : undefined
    return { kind: 'failed', code, message: errorText(thrown), problems }
  }
}

parentPort?.on('message', (request: LoaderRequest) => {
  void answer(request).then((reply) => parentPort?.postMessage(reply))
})
