import { createConsulProvider } from '../src/registry/consul.ts'
import { createEtcdProvider } from '../src/registry/etcd.ts'
import { startConsul } from '../test/support/consul.ts'
import { startEtcd } from '../test/support/etcd.ts'
import { type RegistryWatch, watchProvider } from '../test/support/registry-watch.ts'
import { startTcpProxy } from '../test/support/tcp-proxy.ts'
import { waitFor } from '../test/support/wait.ts'
import { startZooKeeper } from '../test/support/zookeeper.ts'
import { curatorRecord, zooKeeperProvider } from '../test/support/zookeeper-harness.ts'
import { machineLine } from './support.ts'

/**
 * What one gateway asks of a registry with 300 services of two instances each, 1 % of the services flapping: three of
 * them change their state once a second. Defaults of the configuration.
 *
 *   node bench/registry-load.ts [seconds] [consul|etcd|zookeeper ...]
 */
const seconds = Number(process.argv[2] ?? 30)
const names = process.argv.slice(3)
const SERVICES = 300
const FLAPPING = 3

interface Registry {
  readonly url: string
  put(service: string, id: string, port: number): Promise<unknown>
  flip(service: string, id: string, port: number, isIll: boolean): Promise<unknown>
  watch(url: string): RegistryWatch
  /** Where requests are not HTTP: how many there were so far, without those of this program. */
  requests?(): Promise<number>
  stop(): Promise<void>
}

const common = { include: [], exclude: [], forbidAddresses: [] }

const REGISTRIES: Readonly<Record<string, () => Promise<Registry>>> = {
  async consul() {
    const consul = await startConsul()
    return {
      url: consul.url,
      put: (service, id, port) =>
        consul.register({
          Name: service,
          ID: id,
          Address: '127.0.0.1',
          Port: port,
          Check: { TTL: '10m', Status: 'passing' },
        }),
      flip: (_service, id, _port, isIll) =>
        isIll ? consul.fail(`service:${id}`) : consul.pass(`service:${id}`),
      watch: (url) =>
        watchProvider((deps) => {
          const own = {
            datacentres: [],
            mode: 'watch' as const,
            pollInterval: 5000,
            wait: 55_000,
            maxWatches: 64,
          }
          return createConsulProvider('main', { url, ...own, ...common }, deps)
        }),
      stop: () => consul.stop(),
    }
  },
  async etcd() {
    const etcd = await startEtcd()
    const put = (service: string, id: string, port: number, state: string) =>
      etcd.put(
        `/sluice/services/${service}/${id}`,
        JSON.stringify({ url: `http://127.0.0.1:${port}`, id, state }),
      )
    return {
      url: etcd.url,
      put: (service, id, port) => put(service, id, port, 'passing'),
      flip: (service, id, port, isIll) => put(service, id, port, isIll ? 'critical' : 'passing'),
      watch: (url) =>
        watchProvider((deps) => {
          const own = { layout: 'sluice' as const, probeInterval: 10_000 }
          return createEtcdProvider('main', { endpoints: [url], ...own, ...common }, deps)
        }),
      stop: () => etcd.stop(),
    }
  },
  async zookeeper() {
    const zookeeper = await startZooKeeper()
    const { client } = zookeeper
    const record = (service: string, id: string, port: number, state: string) =>
      Buffer.from(curatorRecord({ service, id, address: '127.0.0.1', port }, { state }))
    return {
      url: `http://${zookeeper.server}`,
      async put(service, id, port) {
        await client.ensure(`/services/${service}`)
        await client.create(`/services/${service}/${id}`, record(service, id, port, 'passing'))
      },
      flip: (service, id, port, isIll) =>
        client.setData(
          `/services/${service}/${id}`,
          record(service, id, port, isIll ? 'critical' : 'passing'),
        ),
      watch: (url) =>
        watchProvider((deps) =>
          zooKeeperProvider(url.replace('http://', ''), { sessionTimeout: 15_000 }, deps),
        ),
      async requests() {
        const own = `sid=0x${client.sessionId.toString(16)},`
        const connections = (await zookeeper.word('cons')).split('\n').filter((line) => !line.includes(own))
        return connections.reduce((sum, line) => sum + Number(/recved=(\d+).*sid=/.exec(line)?.[1] ?? 0), 0)
      },
      stop: () => zookeeper.stop(),
    }
  },
}

async function measure(name: string, start: () => Promise<Registry>): Promise<string[]> {
  const registry = await start()
  const proxy = await startTcpProxy(registry.url)
  for (let n = 0; n < SERVICES; n++) {
    await registry.put(`s${n}`, `s${n}-a`, 10_000 + n)
    await registry.put(`s${n}`, `s${n}-b`, 20_000 + n)
  }
  const watched = registry.watch(proxy.url)
  const count = () =>
    [...(watched.snapshot()?.services.keys() ?? [])].filter((key) => /^s\d/.test(key)).length
  await waitFor(() => count() === SERVICES, { timeoutMs: 30_000 })
  const rows: string[] = []
  for (const [kind, isFlapping] of [
    ['quiet', false],
    ['1 % flapping', true],
  ] as const) {
    await new Promise((resolve) => setTimeout(resolve, 2000))
    const counted = async () => ({
      ...proxy.traffic(),
      requests: (await registry.requests?.()) ?? proxy.traffic().requests,
    })
    const before = { ...(await counted()), snapshots: watched.snapshots.length }
    const begun = performance.now()
    for (let second = 0; second < seconds; second++) {
      for (let n = 0; isFlapping && n < FLAPPING; n++) {
        await registry.flip(`s${n}`, `s${n}-a`, 10_000 + n, second % 2 === 0)
      }
      await new Promise((resolve) =>
        setTimeout(resolve, Math.max(0, begun + (second + 1) * 1000 - performance.now())),
      )
    }
    const perMinute = 60_000 / (performance.now() - begun)
    const { requests, bytes } = await counted()
    const row = [
      Math.round((requests - before.requests) * perMinute),
      Math.round((watched.snapshots.length - before.snapshots) * perMinute),
      Math.round(((bytes - before.bytes) * perMinute) / 1024),
    ]
    rows.push(`| ${name} | ${kind} | ${row.join(' | ')} |`)
  }
  await watched.stop()
  await proxy.close()
  await registry.stop()
  return rows
}

const rows: string[] = []
for (const [name, start] of Object.entries(REGISTRIES)) {
  if (names.length === 0 || names.includes(name)) rows.push(...(await measure(name, start)))
}
console.log(`One gateway at a registry of ${SERVICES} services with 2 instances each, ${machineLine()}\n`)
console.log('| registry | services | requests/min | snapshots/min | KiB/min |')
console.log('|---|---|---|---|---|')
for (const row of rows) console.log(row)
process.exit(0)
