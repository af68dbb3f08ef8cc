import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Contracts } from '../../plugins/contracts.ts'
import { watchAll } from '../../plugins/exchange-watch.ts'
import { Mirrors } from '../../plugins/mirrors.ts'
import { Overload, type OverloadSensor } from '../../plugins/overload.ts'
import { createProxy, type DataPath } from '../../plugins/proxy.ts'
import { type LoadedConfig, loadConfig } from '../../src/config/load.ts'
import type { CanaryStates } from '../../src/core/canary.ts'
import { systemClock } from '../../src/core/duration.ts'
import { createIdSource } from '../../src/core/ids.ts'
import type { RequestRecord } from '../../src/core/record.ts'
import type { RegistryState } from '../../src/core/types.ts'
import { createFilterResources } from '../../src/filter-resources.ts'
import type { FilterDefinition, FilterResources } from '../../src/filters/filter.ts'
import type { FilterEnvironment } from '../../src/filters/instances.ts'
import { FILTERS } from '../../src/filters/list.ts'
import { createChains } from '../../src/filters/runner.ts'
import { Recorder } from '../../src/preview/recorder.ts'
import { type CertificateFiles, Certificates, type ClientAuthFiles } from '../../src/proxy/certificates.ts'
import { createClientAddress } from '../../src/proxy/client-address.ts'
import { createPublicServer, type PublicServer } from '../../src/proxy/public-server.ts'
import { Upstreams } from '../../src/proxy/upstreams.ts'
import { compileTable } from '../../src/routing/compile.ts'
import { TableStore } from '../../src/routing/store.ts'
import { quietLog } from './exchange.ts'
import { aFilterEnvironment } from './filter-environment.ts'
import { NOBODY } from './routing.ts'
import { waitFor } from './wait.ts'

export interface ProxyOptions {
  /** sluice.yaml after `version: 1`. */
  readonly yaml: string
  /** What a registry would tell. Default: static upstreams only. */
  readonly registry?: RegistryState
  /** What canary rules are doing, where that is not what the yaml says. */
  readonly canaryStates?: CanaryStates
  /** Listens with TLS instead of in clear. */
  readonly tls?: {
    readonly pairs: readonly CertificateFiles[]
    readonly http2?: boolean
    readonly clientAuth?: ClientAuthFiles
  }
  readonly random?: () => number
  /** Kinds of filters beside those of the gateway. */
  readonly definitions?: readonly FilterDefinition[]
  /** What the state of the process is taken for; nothing is short by default. Read when the test calls `overload.tick`. */
  readonly sensor?: OverloadSensor
  /** What filters get instead of the usual. */
  readonly environment?: Partial<FilterEnvironment>
}

/** The data path in this process: everything but registries, admin side and shutdown. */
export interface RunningProxy {
  /** `http://127.0.0.1:port`, without a slash at the end. */
  readonly url: string
  readonly port: number
  readonly server: PublicServer
  readonly upstreams: Upstreams
  readonly overload: Overload
  readonly tunnels: DataPath['tunnels']
  readonly certificates: Certificates | undefined
  /** What the static configuration offers to filters. */
  readonly resources: FilterResources
  /** One for each request that is over. */
  readonly records: RequestRecord[]
  readonly mirrors: Mirrors
  readonly contracts: Contracts
  readonly recorder: Recorder
  /** What mirrors and contracts count: `mirror shop ok`, `difference shop value`, `breach shop dropped`. */
  readonly counted: string[]
  /** Codes of what never became a request. */
  readonly malformed: string[]
  /** What the gateway warned about. */
  readonly warnings: string[]
  /** The record of the only request so far, or of the n-th (from 0). */
  record(index?: number): Promise<RequestRecord>
  /** Puts another configuration in force, with these instances and states, or the same as before. */
  swap(yaml: string, more?: Pick<ProxyOptions, 'registry' | 'canaryStates'>): Promise<void>
  /** Answers carry `Connection: close`, HTTP/2 clients get GOAWAY. */
  drain(): void
  close(): Promise<void>
}

async function load(yaml: string, definitions: readonly FilterDefinition[]): Promise<LoadedConfig> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-proxy-'))
  try {
    await writeFile(join(folder, 'sluice.yaml'), `version: 1\n${yaml}\n`)
    return await loadConfig({
      path: folder,
      filterSchemas: new Map(definitions.map(({ name, options }) => [name, options])),
    })
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Composes the data path as the gateway does and listens on a free port of 127.0.0.1. */
export async function startProxy(options: ProxyOptions): Promise<RunningProxy> {
  const definitions = [...FILTERS, ...(options.definitions ?? [])]
  const config = await load(options.yaml, definitions)
  const store = new TableStore()
  const random = options.random ?? Math.random
  const records: RequestRecord[] = []
  const malformed: string[] = []
  const warnings: string[] = []
  const log = {
    info: () => {},
    warn: (fields: object, text: string) => void warnings.push(`${text} ${JSON.stringify(fields)}`),
  }
  const upstreams = new Upstreams({ clock: systemClock, random, log: quietLog, zone: config.static.zone })
  const environment = aFilterEnvironment({ random, log, ...options.environment })
  const resources = createFilterResources(config.static, environment)
  await resources.start()
  const chains = createChains(definitions, { ...environment, resources, ...options.environment })
  let isDraining = false
  let version = 0
  let { registry = NOBODY, canaryStates = new Map() } = options
  const apply = async ({ dynamic }: LoadedConfig) => {
    for (const spec of dynamic.routes) {
      chains.validate(spec)
      await chains.prepare(spec)
    }
    const previous = store.current()
    const table = await compileTable({
      config: dynamic,
      declared: [],
      registry,
      canaryStates,
      version: ++version,
      cause: 'test',
      now: Date.now(),
      ...(previous === undefined ? {} : { previous }),
    })
    upstreams.sync(table)
    store.swap(table)
  }
  await apply(config)

  const { limits, trustedProxies } = config.static
  const overload = new Overload(config.static.overload, {
    random,
    sensor: options.sensor ?? {
      read: () => ({ delayMs: 0, utilization: 0, heap: 0, rss: 0 }),
      close: () => {},
    },
  })
  const counted: string[] = []
  const newId = createIdSource()
  const mirrors = new Mirrors({
    clock: systemClock,
    random,
    newId,
    log,
    onResult: (mirror, result) => void counted.push(`mirror ${mirror} ${result}`),
    onDifference: (mirror, kind) => void counted.push(`difference ${mirror} ${kind}`),
  })
  const contracts = new Contracts({
    clock: systemClock,
    random,
    log,
    onBreach: ({ route, kind, path }) => void counted.push(`breach ${route} ${kind} ${path}`),
  })
  store.onSwap((table) => {
    mirrors.keepOnly(table)
    contracts.keepOnly(table)
  })
  const recorder = new Recorder(config.static.recorder, { random, salt: newId(16) })
  const proxy = createProxy({
    overload,
    store,
    recorder,
    upstreams,
    chains,
    clientAddress: createClientAddress(trustedProxies),
    limits,
    clock: systemClock,
    random,
    log,
    newId,
    watch: watchAll([mirrors.watch, contracts.watch]),
    onRecord: (record) => void records.push(record),
    isDraining: () => isDraining,
  })
  const certificates =
    options.tls === undefined ? undefined : new Certificates(options.tls.pairs, options.tls.clientAuth)
  const scheme = certificates === undefined ? 'http' : 'https'
  const listener = { scheme, port: 0 } as { scheme: 'http' | 'https'; port: number }
  const server = createPublicServer({
    host: '127.0.0.1',
    port: 0,
    limits,
    ...(certificates === undefined
      ? {}
      : { tls: { certificates, http2: options.tls?.http2 ?? true, minVersion: 'TLSv1.2' } }),
    ...proxy.handlers(listener),
    onMalformed: (code) => void malformed.push(code),
  })
  const port = await server.listen()
  listener.port = port
  return {
    url: `${scheme}://127.0.0.1:${port}`,
    port,
    server,
    upstreams,
    overload,
    tunnels: proxy.tunnels,
    certificates,
    resources,
    records,
    mirrors,
    contracts,
    recorder,
    counted,
    malformed,
    warnings,
    record: (index = 0) => waitFor(() => records[index], { what: `record ${index}` }),
    async swap(yaml, more = {}) {
      registry = more.registry ?? registry
      canaryStates = more.canaryStates ?? canaryStates
      await apply(await load(yaml, definitions))
    },
    drain() {
      isDraining = true
      server.beginDrain()
    },
    async close() {
      proxy.tunnels.destroy()
      const closed = server.close()
      await server.destroy()
      await closed
      await upstreams.close()
      await mirrors.close()
      chains.close()
      await resources.close()
    },
  }
}
