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
      sweepInterval: 30_000,
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

/** A harness for layouts whose nodes have data. Rights are those of ACLs of the scheme digest. */
function harnessFor(
  layout: 'curator' | 'dubbo-application',
  textOf: (record: TestRecord) => string,
): RegistryHarness {
  return {
    async start({ isGuarded = false, isDown = false } = {}) {
      const zookeeper = await startZooKeeper({ isDown })
      const { client } = zookeeper
      const path = ({ service, id }: Pick<TestRecord, 'service' | 'id'>) => `/services/${service}/${id}`
      const readable: Acl = { permissions: 1, scheme: 'digest', id: digestId(GATEWAY_AUTH) }
      const acl = { isReadable: true }
      const rights = () => (isGuarded ? [...ADMIN_ACL, ...(acl.isReadable ? [readable] : [])] : OPEN_ACL)
      const write = async (record: Pick<TestRecord, 'service' | 'id'>, text: string) => {
        const data = Buffer.from(text)
        if (await client.setData(path(record), data)) return
        await client.ensure(`/services/${record.service}`, rights())
        await client.create(path(record), data, { acl: rights() })
      }
      const setRights = async (isReadable: boolean) => {
        acl.isReadable = isReadable
        for (const one of await below(zookeeper, '/services')) await client.setAcl(one, rights())
      }
      return {
        // A right that is taken away shows in no watch: it shows when the lists are read again.
        provider: (deps) =>
          zooKeeperProvider(zookeeper.server, { layout, auth: GATEWAY_AUTH, sweepInterval: 500 }, deps),
        put: (record) => write(record, textOf(record)),
        async remove(record) {
          await client.remove(path(record))
        },
        async putMalformed(record) {
          await write(record, '{"name": "x", "address": "10.0.0.7", "port": 0}')
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

export const curatorHarness = harnessFor('curator', (record) => curatorRecord(record))
export const dubboApplicationHarness = harnessFor('dubbo-application', (record) =>
  dubboApplicationRecord(record),
)
