import type { RegistryProvider } from '../../src/registry/provider.ts'
import {
  createZooKeeperProvider,
  type ZooKeeperDeps,
  type ZooKeeperRegistryOptions,
} from '../../src/registry/zookeeper.ts'
import { type Acl, ALL_RIGHTS, OPEN_ACL } from '../../src/zookeeper/messages.ts'
import { childPath } from '../../src/zookeeper/servers.ts'
import type { RegistryHarness, TestRecord } from './registry-conformance.ts'
import { digestId, startZooKeeper, type TestZooKeeper } from './zookeeper.ts'

const GATEWAY_AUTH = 'gateway:test-secret'

/** A provider for a ZooKeeper, named `main`, with the defaults of the configuration. */
export function zooKeeperProvider(
  server: string,
  options: Partial<ZooKeeperRegistryOptions>,
  deps: ZooKeeperDeps,
): RegistryProvider {
  return createZooKeeperProvider(
    'main',
    {
      servers: [server],
      layout: 'curator',
      sessionTimeout: 4000,
      sweepInterval: 60_000,
      protocols: ['tri', 'rest'],
      include: [],
      exclude: [],
      forbidAddresses: [],
      ...options,
    },
    deps,
  )
}

/** An instance as Curator writes it. */
export function curatorRecord(
  { service, id, address, port, version }: TestRecord,
  metadata: Record<string, string> = {},
): string {
  const all = version === undefined ? metadata : { version, ...metadata }
  return JSON.stringify({
    name: service,
    id,
    address,
    port,
    sslPort: null,
    payload: {
      '@class': 'org.springframework.cloud.zookeeper.discovery.ZookeeperInstance',
      id,
      name: service,
      metadata: all,
    },
    registrationTimeUTC: 1_700_000_000_000,
    serviceType: 'DYNAMIC',
    uriSpec: null,
    enabled: true,
  })
}

/** An instance of an application as Dubbo 3 writes it. */
export function dubboApplicationRecord(
  record: TestRecord,
  endpoints: readonly { port: number; protocol: string }[] = [{ port: record.port, protocol: 'rest' }],
): string {
  return curatorRecord(record, {
    'dubbo.endpoints': JSON.stringify(endpoints),
    'dubbo.metadata.revision': 'b13c7f3c1f0a',
    'dubbo.metadata.storage-type': 'local',
  })
}

/** How a layout writes an instance. */
interface TestLayout {
  readonly layout: 'curator' | 'dubbo' | 'dubbo-application'
  readonly base: string
  parent(service: string): string
  name(record: TestRecord): string
  data(record: TestRecord): string
  malformed(id: string): { readonly name: string; readonly data: string }
}

/** Rights are those of ACLs of the scheme digest. */
function harnessFor(layout: TestLayout): RegistryHarness {
  return {
    ...(layout.layout === 'dubbo' ? { without: { identity: 'a provider is its URL' } } : {}),
    async start({ isGuarded = false, isDown = false } = {}) {
      const zookeeper = await startZooKeeper({ isDown })
      const { client } = zookeeper
      const readable: Acl = { permissions: 1, scheme: 'digest', id: digestId(GATEWAY_AUTH) }
      const acl = { isReadable: true }
      const rights = () => (isGuarded ? [...ADMIN_ACL, ...(acl.isReadable ? [readable] : [])] : OPEN_ACL)
      /** Names of nodes, by service and id: where a change is another name, the old one has to go. */
      const names = new Map<string, string>()
      const keyOf = ({ service, id }: Pick<TestRecord, 'service' | 'id'>) => `${service}/${id}`
      const drop = async (record: Pick<TestRecord, 'service' | 'id'>) => {
        const name = names.get(keyOf(record))
        names.delete(keyOf(record))
        if (name !== undefined) await client.remove(childPath(layout.parent(record.service), name))
      }
      const write = async (record: Pick<TestRecord, 'service' | 'id'>, name: string, text: string) => {
        const data = Buffer.from(text)
        const path = childPath(layout.parent(record.service), name)
        if (!(await client.setData(path, data))) {
          await client.ensure(layout.parent(record.service), rights())
          await client.create(path, data, { acl: rights() })
        }
        if (names.get(keyOf(record)) !== name) await drop(record)
        names.set(keyOf(record), name)
      }
      const setRights = async (isReadable: boolean) => {
        acl.isReadable = isReadable
        for (const one of await below(zookeeper, layout.base)) await client.setAcl(one, rights())
      }
      return {
        provider: (deps) => {
          // A right that is taken away shows in no watch: it shows when everything is read again.
          const sweepInterval = isGuarded ? 500 : 60_000
          const own = { layout: layout.layout, auth: GATEWAY_AUTH, sweepInterval }
          return zooKeeperProvider(zookeeper.server, own, deps)
        },
        put: (record) => write(record, layout.name(record), layout.data(record)),
        remove: drop,
        async putMalformed(record) {
          const { name, data } = layout.malformed(record.id)
          await write(record, name, data)
          return record.id
        },
        kill: () => zookeeper.kill9(),
        restart: () => zookeeper.restart(),
        wipe: () => zookeeper.restart({ wipe: true }),
        revoke: () => setRights(false),
        grant: () => setRights(true),
        stop: () => zookeeper.stop(),
      }
    },
  }
}

/** For nobody but the tests' client, which may do everything anyway: a list must not be empty. */
const ADMIN_ACL: readonly Acl[] = [
  { permissions: ALL_RIGHTS, scheme: 'digest', id: digestId('admin:test-secret') },
]

async function below({ client }: TestZooKeeper, path: string): Promise<string[]> {
  const names = (await client.getChildren(path)) ?? []
  const paths = await Promise.all(
    names.map((name) => below({ client } as TestZooKeeper, childPath(path, name))),
  )
  return [path, ...paths.flat()]
}

const withData = {
  base: '/services',
  parent: (service: string) => `/services/${service}`,
  name: ({ id }: TestRecord) => id,
  malformed: (id: string) => ({ name: id, data: '{"name": "x", "address": "10.0.0.7", "port": 0}' }),
}

export const curatorHarness = harnessFor({
  ...withData,
  layout: 'curator',
  data: (record) => curatorRecord(record),
})

export const dubboApplicationHarness = harnessFor({
  ...withData,
  layout: 'dubbo-application',
  data: (record) => dubboApplicationRecord(record),
})

/** A provider of an interface, as Dubbo writes it. */
export function dubboUrl(
  { service, id, address, port, version }: TestRecord,
  own: Readonly<Record<string, string>> = {},
  protocol = 'rest',
): string {
  const params = new URLSearchParams({
    application: 'test',
    interface: service,
    pid: id,
    ...(version === undefined ? {} : { version }),
    ...own,
  })
  return encodeURIComponent(`${protocol}://${address}:${port}/${service}?${params}`)
}

export const dubboHarness = harnessFor({
  layout: 'dubbo',
  base: '/dubbo',
  parent: (service) => `/dubbo/${service}/providers`,
  name: (record) => dubboUrl(record),
  data: () => '',
  malformed: (id) => ({ name: encodeURIComponent(`rest://10.0.0.7/x?pid=${id}`), data: '' }),
})
