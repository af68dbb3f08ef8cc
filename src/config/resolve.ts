import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { errorText } from '../core/errors.ts'
import { etcdEnvironment } from '../core/etcd-environment.ts'
import type { ServicePolicy, UpstreamTls } from '../core/route.ts'
import { resolveConfiguration } from './configuration.ts'
import type { ConfigDocument } from './document.ts'
import { absoluteIdentity } from './identity.ts'
import { resolveHistory } from './monitor.ts'
import type { ConfigProblem } from './problems.ts'
import type { MainFile, RegistryConfig } from './schema.ts'
import { absoluteStore } from './stores.ts'

/** Environment overrides applied, paths made absolute, PEM files read. */

interface Part {
  readonly document: ConfigDocument
}

type Reader = (path: string, where: PropertyKey[], document: ConfigDocument) => Promise<string>

function createReader(files: string[], problems: ConfigProblem[]): Reader {
  return async (path, where, document) => {
    const absolute = resolve(document.folder, path)
    files.push(absolute)
    try {
      return await readFile(absolute, 'utf8')
    } catch (thrown) {
      problems.push(
        document.problem(
          where,
          `${absolute} cannot be read: ${errorText(thrown)}`,
          'create it, or mend the path',
        ),
      )
      return ''
    }
  }
}

async function readTls(
  tls: UpstreamTls,
  policy: ServicePolicy,
  parts: readonly Part[],
  read: Reader,
): Promise<UpstreamTls> {
  if (tls.ca === undefined && tls.cert === undefined && tls.key === undefined) return tls
  const file = policy.source.replace(/:\d+:\d+$/, '')
  const { document } = parts.find((part) => part.document.file === file) ?? (parts[0] as Part)
  const out: Record<string, unknown> = { ...tls }
  for (const key of ['ca', 'cert', 'key'] as const) {
    if (tls[key] !== undefined)
      out[key] = await read(tls[key], ['services', policy.name, 'tls', key], document)
  }
  return out as unknown as UpstreamTls
}

function absoluteRegistry(registry: RegistryConfig, base: (path: string) => string): RegistryConfig {
  if (registry.type === 'file') return { ...registry, path: base(registry.path) }
  if (registry.type === 'embedded' || registry.type === 'dns') return registry
  const files = Object.fromEntries(
    Object.entries(registry.tls ?? {}).map(([key, value]) => [
      key,
      typeof value === 'string' ? base(value) : value,
    ]),
  )
  if (registry.type === 'zookeeper') {
    return { ...registry, ...(registry.tls === undefined ? {} : { tls: files }) }
  }
  if (registry.type === 'etcd' || registry.type === 'nacos') {
    const { passwordFile } = registry
    return {
      ...registry,
      ...(passwordFile === undefined ? {} : { passwordFile: base(passwordFile) }),
      ...(registry.tls === undefined ? {} : { tls: files }),
    }
  }
  const { tokenFile, tls } = registry
  return {
    ...registry,
    ...(tokenFile === undefined ? {} : { tokenFile: base(tokenFile) }),
    ...(tls === undefined ? {} : { tls: files }),
  }
}

function absoluteAuth<T extends { ca: string; crl?: string | undefined }>(
  auth: T,
  base: (path: string) => string,
): T {
  return { ...auth, ca: base(auth.ca), ...(auth.crl === undefined ? {} : { crl: base(auth.crl) }) }
}

function absoluteAdmin(admin: MainFile['admin'], base: (path: string) => string): MainFile['admin'] {
  const { tls, audit, tools } = admin
  return {
    ...admin,
    audit: audit.file === undefined ? audit : { file: base(audit.file) },
    tools: Object.fromEntries(
      Object.entries(tools).map(([name, tool]) => [
        name,
        tool.ca === undefined ? tool : { ...tool, ca: base(tool.ca) },
      ]),
    ),
    ...(tls === undefined
      ? {}
      : {
          tls: {
            cert: base(tls.cert),
            key: base(tls.key),
            ...(tls.clientCa === undefined ? {} : { clientCa: base(tls.clientCa) }),
          },
        }),
  }
}

/** Paths of the main file relative to it; PEM texts of services read. */
export async function resolveFiles(
  main: MainFile,
  services: readonly ServicePolicy[],
  parts: readonly Part[],
  problems: ConfigProblem[],
): Promise<{ main: MainFile; services: ServicePolicy[]; files: string[] }> {
  const files: string[] = []
  const read = createReader(files, problems)
  const folder = (parts[0] as Part).document.folder
  const base = (path: string) => resolve(folder, path)
  const resolved: ServicePolicy[] = []
  for (const policy of services)
    resolved.push({ ...policy, tls: await readTls(policy.tls, policy, parts, read) })
  const { https } = main.listen
  const configuration = resolveConfiguration(main.configuration, main.snapshot, base)
  const pair = <T extends { cert: string; key: string }>(each: T) => ({
    ...each,
    cert: base(each.cert),
    key: base(each.key),
  })
  return {
    services: resolved,
    files,
    main: {
      ...main,
      listen: {
        ...main.listen,
        ...(https === undefined
          ? {}
          : {
              https: {
                ...https,
                certificates: https.certificates.map(pair),
                ...(https.clientAuth === undefined
                  ? {}
                  : { clientAuth: absoluteAuth(https.clientAuth, base) }),
              },
            }),
      },
      admin: absoluteAdmin(main.admin, base),
      waf: {
        ...main.waf,
        crs: base(main.waf.crs),
        ...(main.waf.library === undefined ? {} : { library: base(main.waf.library) }),
      },
      registries: Object.fromEntries(
        Object.entries(main.registries).map(([name, registry]) => [name, absoluteRegistry(registry, base)]),
      ),
      stores: Object.fromEntries(
        Object.entries(main.stores).map(([name, store]) => [name, absoluteStore(store, base)]),
      ),
      identityProviders: Object.fromEntries(
        Object.entries(main.identityProviders).map(([name, each]) => [name, absoluteIdentity(each, base)]),
      ),
      ...(main.snapshot === undefined
        ? {}
        : { snapshot: { ...main.snapshot, path: base(main.snapshot.path) } }),
      monitor: resolveHistory(main.monitor, main.snapshot, base),
      ...(configuration === undefined ? {} : { configuration }),
    },
  }
}

/** Environment variables over keys of the file. */
export const OVERRIDES: Readonly<Record<string, readonly string[]>> = {
  SLUICE_LISTEN_HTTP: ['listen', 'http', 'address'],
  SLUICE_LISTEN_HTTPS: ['listen', 'https', 'address'],
  SLUICE_ADMIN_ADDRESS: ['admin', 'address'],
  SLUICE_ADMIN_TOKEN: ['admin', 'token'],
  SLUICE_ADMIN_READ_TOKEN: ['admin', 'readToken'],
  SLUICE_ADMIN_DEBUG_KEY: ['admin', 'debugKey'],
  SLUICE_LOG_LEVEL: ['log', 'level'],
  SLUICE_SNAPSHOT_PATH: ['snapshot', 'path'],
}

function withValue(object: unknown, path: readonly string[], value: string): unknown {
  const [key, ...rest] = path
  if (key === undefined) return value
  // Something else than keys stands there: the schema says so.
  if (object !== null && object !== undefined && (typeof object !== 'object' || Array.isArray(object)))
    return object
  const record = (object ?? {}) as Record<string, unknown>
  return { ...record, [key]: withValue(record[key], rest, value) }
}

function setOverrides(env: NodeJS.ProcessEnv): [variable: string, path: readonly string[], text: string][] {
  return Object.entries(OVERRIDES).flatMap(([variable, path]) => {
    const text = env[variable]
    return text === undefined || text === '' ? [] : [[variable, path, text]]
  })
}

/** The values of the file with the `SLUICE_*` variables in place, before anything is checked. */
export function withOverrides(file: unknown, env: NodeJS.ProcessEnv): unknown {
  return setOverrides(env).reduce<unknown>((value, [variable, path, text]) => {
    // Unlike a path in the file, one on the command line is seen from where the command is run.
    return withValue(value, path, variable === 'SLUICE_SNAPSHOT_PATH' ? resolve(text) : text)
  }, file)
}

/** A mistake at a key that a variable sets is the variable's. */
export function blameOverride(problem: ConfigProblem, env: NodeJS.ProcessEnv): ConfigProblem {
  const found = setOverrides(env).find(([, path]) => path.join('.') === problem.path)
  if (found === undefined) return problem
  const [variable] = found
  return {
    ...problem,
    message: `environment variable ${variable}: ${problem.message}`,
    fix: `mend or unset ${variable}: ${problem.fix}`,
  }
}

/** Consul's and etcd's own environment variables for their registries, where the file says nothing. */
export function resolveEnvironment(main: MainFile, env: NodeJS.ProcessEnv): MainFile {
  return { ...main, registries: mapEtcd(mapConsul(main.registries, env), env) }
}

function mapEtcd(registries: MainFile['registries'], env: NodeJS.ProcessEnv): MainFile['registries'] {
  const { ca, cert, key, ...found } = etcdEnvironment(env)
  const tls = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) }
  return Object.fromEntries(
    Object.entries(registries).map(([name, registry]) => {
      if (registry.type !== 'etcd') return [name, registry]
      const { username, password } = registry.username === undefined ? found : registry
      return [
        name,
        {
          ...registry,
          endpoints: registry.endpoints ?? found.endpoints,
          ...(registry.tls === undefined && Object.keys(tls).length > 0 ? { tls } : {}),
          ...(username === undefined ? {} : { username }),
          ...(password === undefined ? {} : { password }),
        },
      ]
    }),
  )
}

function mapConsul(registries: MainFile['registries'], env: NodeJS.ProcessEnv): MainFile['registries'] {
  const address = env['CONSUL_HTTP_ADDR'] ?? 'http://127.0.0.1:8500'
  const scheme = env['CONSUL_HTTP_SSL'] === 'true' || env['CONSUL_HTTP_SSL'] === '1' ? 'https' : 'http'
  const url = /^https?:\/\//.test(address) ? address : `${scheme}://${address}`
  const token = env['CONSUL_HTTP_TOKEN']
  const tokenFile = env['CONSUL_HTTP_TOKEN_FILE']
  return Object.fromEntries(
    Object.entries(registries).map(([name, registry]) => {
      if (registry.type !== 'consul') return [name, registry]
      const hasOwn = registry.token !== undefined || registry.tokenFile !== undefined
      return [
        name,
        {
          ...registry,
          url: registry.url ?? url,
          ...(hasOwn || token === undefined ? {} : { token }),
          ...(hasOwn || tokenFile === undefined ? {} : { tokenFile }),
        },
      ]
    }),
  )
}
