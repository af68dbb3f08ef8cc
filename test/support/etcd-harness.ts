import { createEtcdProvider, type EtcdOptions } from '../../src/registry/etcd.ts'
import type { RegistryProvider } from '../../src/registry/provider.ts'
import { startEtcd } from './etcd.ts'
import type { ProviderTestDeps, RegistryHarness, TestRecord } from './registry-conformance.ts'

/** How the suite writes one layout. */
export interface EtcdTestLayout {
  readonly options: Partial<EtcdOptions>
  readonly prefix: string
  key(record: Pick<TestRecord, 'service' | 'id'>): string
  value(record: TestRecord): string
}

const USER = { username: 'gateway', password: 'gw' }

/** A provider named `main` with the defaults of the configuration, but a probe each 500 ms. */
export function etcdProvider(
  url: string,
  options: Partial<EtcdOptions>,
  deps: ProviderTestDeps,
): RegistryProvider {
  return createEtcdProvider(
    'main',
    {
      endpoints: [url],
      layout: 'sluice',
      probeInterval: 500,
      include: [],
      exclude: [],
      forbidAddresses: [],
      ...options,
    },
    deps,
  )
}

/** etcd with one of its layouts for the conformance suite. */
export function etcdHarness({ options, prefix, key, value }: EtcdTestLayout): RegistryHarness {
  return {
    async start({ isGuarded = false, isDown = false } = {}) {
      const etcd = await startEtcd({ auth: isGuarded, isDown })
      const grant = (type: 'READ' | 'NONE') => etcd.setUser(USER.username, USER.password, { prefix, type })
      if (isGuarded) await grant('READ')
      return {
        provider: (deps) => etcdProvider(etcd.url, { ...options, ...(isGuarded ? USER : {}) }, deps),
        async put(record) {
          await etcd.put(key(record), value(record))
        },
        remove: (record) => etcd.remove(key(record)),
        async putMalformed(record) {
          await etcd.put(key(record), '{"nothing": "of use"}')
          return key(record)
        },
        kill: () => etcd.kill9(),
        restart: () => etcd.restart(),
        wipe: () => etcd.restart({ wipe: true }),
        revoke: () => grant('NONE'),
        grant: () => grant('READ'),
        stop: () => etcd.stop(),
      }
    },
  }
}

/** The own layout. */
export const ownTestLayout: EtcdTestLayout = {
  options: {},
  prefix: '/sluice/services/',
  key: ({ service, id }) => `/sluice/services/${service}/${id}`,
  value: ({ address, port, version }) => JSON.stringify({ url: `http://${address}:${port}`, version }),
}

/** That of go-micro. */
export const goMicroTestLayout: EtcdTestLayout = {
  options: { layout: 'go-micro' },
  prefix: '/micro/registry/',
  key: ({ service, id }) => `/micro/registry/${service}/${id}`,
  value: ({ service, id, address, port, version }) =>
    JSON.stringify({
      name: service,
      version: version ?? 'latest',
      metadata: null,
      endpoints: [{ name: 'Cart.Get', request: { name: 'Request', type: 'Request' }, metadata: {} }],
      nodes: [{ id, address: `${address}:${port}`, metadata: { broker: 'http', protocol: 'http' } }],
    }),
}

/** One of somebody else, by a template. */
export const templateTestLayout: EtcdTestLayout = {
  options: {
    layout: {
      key: '/apps/{service}/nodes/{id}',
      address: '$.at.host',
      port: '$.at.port',
      version: '$.release',
    },
  },
  prefix: '/apps/',
  key: ({ service, id }) => `/apps/${service}/nodes/${id}`,
  value: ({ address, port, version }) => JSON.stringify({ at: { host: address, port }, release: version }),
}
