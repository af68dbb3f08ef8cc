import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createNacosProvider, type NacosOptions } from '../../src/registry/nacos.ts'
import type { RegistryProvider } from '../../src/registry/provider.ts'
import { freePort } from './ports.ts'
import type { ProviderTestDeps, RegistryHarness } from './registry-conformance.ts'

const USER = { username: 'gateway', password: 'gw' }

/** What a test writes of an instance; the rest is as Nacos fills it in. */
export interface TestHost {
  ip: string
  port: number
  [field: string]: unknown
}

/**
 * Answers as the documentation of Nacos' HTTP API shows them (1.x and 2.x user guides, "Open API Guide"); no Nacos. Services by
 * `namespace/group/name`.
 */
export interface TestNacos {
  readonly url: string
  readonly services: Map<string, Map<string, TestHost | string>>
  readonly calls: string[]
  /** Logins that were answered. */
  logins: number
  /** Names of services whose list is answered with 500. */
  readonly broken: Set<string>
  /** Wants a login of this user. */
  guard(user: { username: string; password: string } | undefined): void
  /** Tokens that were given are worth nothing any more. */
  expire(): void
  start(): Promise<void>
  stop(): Promise<void>
}

const filled = (name: string, group: string, host: TestHost | string): unknown =>
  typeof host === 'string'
    ? host
    : {
        instanceId: `${host.ip}#${host.port}#DEFAULT#${group}@@${name}`,
        weight: 1.0,
        healthy: true,
        enabled: true,
        ephemeral: true,
        clusterName: 'DEFAULT',
        serviceName: `${group}@@${name}`,
        metadata: {},
        instanceHeartBeatInterval: 5000,
        instanceHeartBeatTimeOut: 15_000,
        ipDeleteTimeout: 30_000,
        ...host,
      }

/** `pageSize`: at most so many services a page. The caller must `stop` it. */
export async function createNacos({ pageSize = 500 } = {}): Promise<TestNacos> {
  const port = await freePort()
  const services: TestNacos['services'] = new Map()
  let user: { username: string; password: string } | undefined
  let epoch = 0
  const json = (response: ServerResponse, status: number, value: unknown) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))

  const login = async (request: IncomingMessage, response: ServerResponse) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const form = new URLSearchParams(body)
    if (form.get('username') !== user?.username || form.get('password') !== user?.password) {
      response.writeHead(403).end('unknown user!')
      return
    }
    nacos.logins++
    json(response, 200, { accessToken: `token-${epoch}`, tokenTtl: 18_000, globalAdmin: false })
  }

  const answer = (request: IncomingMessage, response: ServerResponse) => {
    const { pathname, searchParams: query } = new URL(request.url ?? '', nacos.url)
    nacos.calls.push(request.url ?? '')
    if (pathname === '/nacos/v1/auth/login') return void login(request, response)
    if (user !== undefined && query.get('accessToken') !== `token-${epoch}`) {
      return response.writeHead(403).end('unknown user!')
    }
    const [, , api, , what] = pathname.split('/')
    const group = query.get('groupName') ?? ''
    const under = `${query.get('namespaceId')}/${group}/`
    const wrap = (data: unknown) => (api === 'v1' ? data : { code: 0, message: 'success', data })
    if (what === 'service') {
      const names = [...services.keys()]
        .filter((key) => key.startsWith(under))
        .map((key) => key.slice(under.length))
      const size = Math.min(pageSize, Number(query.get('pageSize')))
      const begin = (Number(query.get('pageNo')) - 1) * size
      const list = names.slice(begin, begin + size)
      return json(
        response,
        200,
        wrap(api === 'v1' ? { count: names.length, doms: list } : { count: names.length, services: list }),
      )
    }
    const name = query.get('serviceName') ?? ''
    if (nacos.broken.has(name)) return json(response, 500, { status: 500, error: 'Internal Server Error' })
    const clusters = (query.get(api === 'v1' ? 'clusters' : 'clusterName') ?? '')
      .split(',')
      .filter((each) => each !== '')
    const hosts = [...(services.get(`${under}${name}`)?.values() ?? [])]
      .map((host) => filled(name, group, host))
      .filter(
        (host) => clusters.length === 0 || clusters.includes((host as { clusterName: string }).clusterName),
      )
    return json(
      response,
      200,
      wrap({
        name: `${group}@@${name}`,
        groupName: group,
        clusters: '',
        cacheMillis: 10_000,
        hosts,
        lastRefTime: 1_662_554_390_814,
        checksum: '',
        allIPs: false,
        reachProtectionThreshold: false,
        valid: true,
      }),
    )
  }
  const server = createServer(answer)
  const nacos: TestNacos = {
    url: `http://127.0.0.1:${port}/nacos`,
    services,
    calls: [],
    logins: 0,
    broken: new Set(),
    guard(next) {
      user = next
      epoch++
    },
    expire() {
      epoch++
    },
    async start() {
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
    },
    async stop() {
      if (!server.listening) return
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
  return nacos
}

/** A provider named `main` with the defaults of the configuration, but an interval of 500 ms. */
export function nacosProvider(
  urls: readonly string[],
  options: Partial<NacosOptions>,
  deps: ProviderTestDeps,
): RegistryProvider {
  const defaults = { api: 'v2', namespaceId: '', groupName: 'DEFAULT_GROUP', clusters: [] } as const
  const rules = { include: [], exclude: [], forbidAddresses: [] }
  return createNacosProvider(
    'main',
    { urls, ...defaults, ...rules, interval: 500, timeout: 5000, ...options },
    deps,
  )
}

/** The answers of Nacos' documentation for the conformance suite; no Nacos. */
export function nacosHarness(api: 'v1' | 'v2'): RegistryHarness {
  return {
    without: { identity: 'an instance is its address and port' },
    async start({ isGuarded = false, isDown = false } = {}) {
      const nacos = await createNacos()
      if (isGuarded) nacos.guard(USER)
      if (!isDown) await nacos.start()
      const edit = async (service: string, change: (list: Map<string, TestHost | string>) => void) => {
        const key = `/DEFAULT_GROUP/${service}`
        const list = nacos.services.get(key) ?? new Map<string, TestHost | string>()
        change(list)
        if (list.size > 0) nacos.services.set(key, list)
        else nacos.services.delete(key)
      }
      return {
        provider: (deps) => nacosProvider([nacos.url], { api, ...(isGuarded ? USER : {}) }, deps),
        put: ({ service, id, address, port, version }) =>
          edit(service, (list) =>
            list.set(id, { ip: address, port, metadata: version === undefined ? {} : { version } }),
          ),
        remove: ({ service, id }) => edit(service, (list) => list.delete(id)),
        async putMalformed({ service, id }) {
          await edit(service, (list) => list.set(id, { ip: '10.0.0.7', port: 0 }))
          return `${service}: 10.0.0.7:0 is left out`
        },
        kill: () => nacos.stop(),
        restart: () => nacos.start(),
        async wipe() {
          await nacos.stop()
          nacos.services.clear()
          await nacos.start()
        },
        async revoke() {
          nacos.guard({ ...USER, password: 'another' })
        },
        async grant() {
          nacos.guard(USER)
        },
        stop: () => nacos.stop(),
      }
    },
  }
}
