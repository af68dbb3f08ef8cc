import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Agent, request } from 'undici'
import { startGateway } from '../test/support/gateway.ts'
import { quantile } from '../test/support/load.ts'
import { machineLine } from './support.ts'

/**
 * A service that works on 20 requests at a time, 50 ms each, and queues the others; twice what it can do, for 8 s, by
 * clients that leave after 1 s. Goodput and p99 without a limit, with a fixed and with a learnt one, and of bots.
 *
 *   node bench/concurrency.ts [seconds]
 */
const seconds = Number(process.argv[2] ?? 8)
const SLOTS = 20
const SERVICE_MS = 50
const PATIENCE_MS = 1000
const CAPACITY = (SLOTS * 1000) / SERVICE_MS
/** Each fourth request is one. */
const BOT_EVERY = 4

/** First come, first served; like most services it does not notice who has left. */
async function startSlowService() {
  const waiting: (() => void)[] = []
  let busy = 0
  const next = () => {
    while (busy < SLOTS) {
      const work = waiting.shift()
      if (work === undefined) return
      busy++
      setTimeout(() => {
        busy--
        work()
        next()
      }, SERVICE_MS)
    }
  }
  const server = createServer((_request, response) => {
    waiting.push(() => response.end('done'))
    next()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  return {
    port: (server.address() as AddressInfo).port,
    close: () => server.close(() => {}).closeAllConnections(),
  }
}

interface Figures {
  readonly good: number
  readonly refused: number
  readonly left: number
  readonly p50: number
  readonly p99: number
  readonly goodBots: number
}

/** Open loop; only what the second half brings counts: by then a queue stands, or a limit is learnt. */
async function overload(url: string): Promise<Figures> {
  const agent = new Agent({ connections: 4000, pipelining: 1 })
  const [begun, total] = [performance.now(), CAPACITY * 2 * seconds]
  const times: number[] = []
  let [refused, left, goodBots] = [0, 0, 0]
  const one = async (i: number) => {
    const counts = i >= total / 2
    const isBot = i % BOT_EVERY === 0
    const start = performance.now()
    try {
      const { statusCode, body } = await request(url, {
        dispatcher: agent,
        headers: { 'user-agent': isBot ? 'bench-bot/1' : 'bench' },
        signal: AbortSignal.timeout(PATIENCE_MS),
      })
      await body.dump()
      if (!counts) return
      if (statusCode !== 200) refused++
      else {
        times.push(performance.now() - start)
        if (isBot) goodBots++
      }
    } catch {
      if (counts) left++
    }
  }
  const all: Promise<void>[] = []
  while (all.length < total) {
    const due = Math.min(total, Math.floor(((performance.now() - begun) * CAPACITY * 2) / 1000))
    while (all.length < due) all.push(one(all.length))
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  await Promise.all(all)
  await agent.close()
  times.sort((a, b) => a - b)
  const per = 2 / seconds
  return {
    good: times.length * per,
    refused: refused * per,
    left: left * per,
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    goodBots: goodBots * per,
  }
}

const CASES = {
  'no limit': '',
  'limit: 20': 'filters: [{ type: concurrency, limit: 20, shares: { anonymous: 100 } }], ',
  adaptive: 'filters: [{ type: concurrency, adaptive: {}, shares: { anonymous: 100 } }], ',
  'adaptive, queue 50, 300ms':
    'filters: [{ type: concurrency, adaptive: {}, shares: { anonymous: 100 }, queue: { length: 50, timeout: 300ms } }], ',
}

console.log(`${machineLine()}; capacity ${CAPACITY}/s, offered ${2 * CAPACITY}/s\n`)
console.log('| case | good/s | of capacity | of them bots/s | refused/s | left/s | p50 ms | p99 ms | limit |')
console.log('| --- | --- | --- | --- | --- | --- | --- | --- | --- |')
for (const [name, filters] of Object.entries(CASES)) {
  const service = await startSlowService()
  const gateway = await startGateway({
    yaml: `log: { access: { enabled: false } }
defaults: { maxConnections: 4000, maxPending: 4000 }
routes: [{ name: all, match: { pathPrefix: / }, ${filters}upstreams: ["http://127.0.0.1:${service.port}"] }]`,
  })
  const { good, refused, left, p50, p99, goodBots } = await overload(gateway.publicUrl)
  const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
  const limit = /^sluice_concurrency_limit\{.*\} (\d+)$/m.exec(metrics)?.[1] ?? ''
  const row = [name, good.toFixed(0), (good / CAPACITY).toFixed(2), goodBots.toFixed(0), refused.toFixed(0)]
  console.log(`| ${[...row, left.toFixed(0), p50.toFixed(0), p99.toFixed(0), limit].join(' | ')} |`)
  await gateway.stop()
  service.close()
}
