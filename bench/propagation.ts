import { startConsul } from '../test/support/consul.ts'
import { startGateway } from '../test/support/gateway.ts'
import { quantile } from '../test/support/load.ts'
import { machineLine } from './support.ts'

/**
 * From a change in Consul until the table with it is in force, as the gateway's own event stream shows it.
 *
 *   node bench/propagation.ts [changes]
 */
const changes = Number(process.argv[2] ?? 100)

const consul = await startConsul()
const gateway = await startGateway({
  yaml: `registries: { consul: { type: consul, url: "${consul.url}" } }`,
  routes: { 'shop.yaml': 'routes: [{ name: shop, match: { pathPrefix: / }, service: shop }]' },
})

const waiting = new Map<string, () => void>()
const stream = await fetch(`${gateway.adminUrl}/api/events`)
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

async function timed(mark: string, change: () => Promise<void>): Promise<number> {
  const seen = new Promise<void>((resolve) => waiting.set(mark, resolve))
  const start = performance.now()
  await change()
  await seen
  return performance.now() - start
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 550))
const register = (id: string, port: number) =>
  consul.register({
    Name: 'shop',
    ID: id,
    Address: '127.0.0.1',
    Port: port,
    Check: { TTL: '60s', Status: 'passing', CheckID: `service:${id}` },
  })

await register('steady-1', 9001)
await register('steady-2', 9002)
await pause()
const added: number[] = []
const failed: number[] = []
const removed: number[] = []
for (let i = 0; i < changes; i++) {
  const id = `moving-${i}`
  const place = `127.0.0.1:${10_000 + i} (${id})`
  added.push(await timed(`+ instance shop ${place}`, () => register(id, 10_000 + i)))
  await pause()
  failed.push(await timed(`${place} passing -> critical`, () => consul.fail(`service:${id}`)))
  await pause()
  removed.push(await timed(`- instance shop ${place}`, () => consul.deregister(id)))
  await pause()
}

console.log(`Change in Consul until the table is in force, ${changes} of each, ${machineLine()}\n`)
console.log('| change | p50 ms | p99 ms | max ms |')
console.log('|---|---|---|---|')
for (const [name, list] of [
  ['an instance registers', added],
  ['its check fails', failed],
  ['it deregisters', removed],
] as const) {
  list.sort((a, b) => a - b)
  const row = [quantile(list, 0.5), quantile(list, 0.99), list.at(-1) ?? 0].map((value) => value.toFixed(1))
  console.log(`| ${name} | ${row.join(' | ')} |`)
}
await gateway.stop()
await consul.stop()
await reading
process.exit(0)
