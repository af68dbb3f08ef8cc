import { startConsul } from '../test/support/consul.ts'
import { startEtcd } from '../test/support/etcd.ts'
import { startGateway } from '../test/support/gateway.ts'
import { quantile } from '../test/support/load.ts'
import { startZooKeeper } from '../test/support/zookeeper.ts'
import { curatorRecord } from '../test/support/zookeeper-harness.ts'
import { machineLine } from './support.ts'

/**
 * From a change in a registry until the table with it is in force, as the gateway's own event stream shows it.
 *
 *   node bench/propagation.ts [changes] [consul|etcd|zookeeper ...]
 */
const changes = Number(process.argv[2] ?? 100)
const names = process.argv.slice(3)

interface Registry {
  readonly yaml: string
  /** Writes an instance that passes. */
  add(id: string, port: number): Promise<unknown>
  /** Says that it is ill. */
  fail(id: string, port: number): Promise<unknown>
  remove(id: string): Promise<unknown>
  stop(): Promise<void>
}

const REGISTRIES: Readonly<Record<string, () => Promise<Registry>>> = {
  async consul() {
    const consul = await startConsul()
    return {
      yaml: `{ type: consul, url: "${consul.url}" }`,
      add: (id, port) =>
        consul.register({
          Name: 'shop',
          ID: id,
          Address: '127.0.0.1',
          Port: port,
          Check: { TTL: '60s', Status: 'passing', CheckID: `service:${id}` },
        }),
      fail: (id) => consul.fail(`service:${id}`),
      remove: (id) => consul.deregister(id),
      stop: () => consul.stop(),
    }
  },
  async etcd() {
    const etcd = await startEtcd()
    const key = (id: string) => `/sluice/services/shop/${id}`
    const put = (id: string, port: number, state: string) =>
      etcd.put(key(id), JSON.stringify({ url: `http://127.0.0.1:${port}`, id, state }))
    return {
      yaml: `{ type: etcd, endpoints: ["${etcd.url}"] }`,
      add: (id, port) => put(id, port, 'passing'),
      fail: (id, port) => put(id, port, 'critical'),
      remove: (id) => etcd.remove(key(id)),
      stop: () => etcd.stop(),
    }
  },
  async zookeeper() {
    const zookeeper = await startZooKeeper()
    const { client } = zookeeper
    const path = (id: string) => `/services/shop/${id}`
    const record = (id: string, port: number, state: string) =>
      Buffer.from(curatorRecord({ service: 'shop', id, address: '127.0.0.1', port }, { state }))
    await client.ensure('/services/shop')
    return {
      yaml: `{ type: zookeeper, servers: ["${zookeeper.server}"] }`,
      add: (id, port) => client.create(path(id), record(id, port, 'passing'), { isEphemeral: true }),
      fail: (id, port) => client.setData(path(id), record(id, port, 'critical')),
      remove: (id) => client.remove(path(id)),
      stop: () => zookeeper.stop(),
    }
  },
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 550))

/** Resolves a mark as soon as it stands in the gateway's event stream. */
async function followEvents(adminUrl: string) {
  const waiting = new Map<string, () => void>()
  const stream = await fetch(`${adminUrl}/api/events`)
  const reading = (async () => {
    const decoder = new TextDecoder()
    let text = ''
    for await (const chunk of stream.body as unknown as AsyncIterable<Uint8Array>) {
      text += decoder.decode(chunk, { stream: true })
      for (const [mark, found] of waiting) {
        if (!text.includes(mark)) continue
        waiting.delete(mark)
        text = ''
        found()
      }
    }
  })().catch(() => {})
  return {
    reading,
    async timed(mark: string, change: () => Promise<unknown>): Promise<number> {
      const seen = new Promise<void>((resolve) => waiting.set(mark, resolve))
      const start = performance.now()
      await change()
      await seen
      return performance.now() - start
    },
  }
}

async function measure(name: string, start: () => Promise<Registry>): Promise<string[]> {
  const registry = await start()
  const gateway = await startGateway({
    yaml: `registries: { main: ${registry.yaml} }`,
    routes: { 'shop.yaml': 'routes: [{ name: shop, match: { pathPrefix: / }, service: shop }]' },
  })
  const events = await followEvents(gateway.adminUrl)
  await registry.add('steady-1', 9001)
  await registry.add('steady-2', 9002)
  await pause()
  const times: Record<string, number[]> = { added: [], failed: [], removed: [] }
  for (let i = 0; i < changes; i++) {
    const id = `moving-${i}`
    const port = 10_000 + i
    const place = `127.0.0.1:${port} (${id})`
    const { timed } = events
    times['added']?.push(await timed(`+ instance shop ${place}`, () => registry.add(id, port)))
    await pause()
    times['failed']?.push(await timed(`${place} passing -> critical`, () => registry.fail(id, port)))
    await pause()
    times['removed']?.push(await timed(`- instance shop ${place}`, () => registry.remove(id)))
    await pause()
  }
  await gateway.stop()
  await registry.stop()
  await events.reading
  return Object.entries({ added: 'registers', failed: 'is ill', removed: 'leaves' }).map(([kind, words]) => {
    const list = (times[kind] ?? []).sort((a, b) => a - b)
    const row = [quantile(list, 0.5), quantile(list, 0.99), list.at(-1) ?? 0].map((value) => value.toFixed(1))
    return `| ${name} | an instance ${words} | ${row.join(' | ')} |`
  })
}

const rows: string[] = []
for (const [name, start] of Object.entries(REGISTRIES)) {
  if (names.length === 0 || names.includes(name)) rows.push(...(await measure(name, start)))
}
console.log(`From a change until the table is in force, ${changes} of each, ${machineLine()}\n`)
console.log('| registry | change | p50 ms | p99 ms | max ms |')
console.log('|---|---|---|---|---|')
for (const row of rows) console.log(row)
process.exit(0)
