import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startChild } from '../support/child.ts'
import { useCleanups } from '../support/cleanup.ts'
import { freePort } from '../support/ports.ts'
import { startRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait.ts'

const ROOT = join(import.meta.dirname, '../..')
const { later } = useCleanups()

test('examples/rate-limit: two gateways share one limit', async () => {
  const redis = await startRedis()
  later(() => redis.stop())
  const urls: string[] = []
  for (let i = 0; i < 2; i++) {
    const [port, admin] = [await freePort(), await freePort()]
    const child = startChild(join(ROOT, 'bin/sluice'), ['run', '-c', join(ROOT, 'examples/rate-limit')], {
      REDIS_URL: redis.url,
      SLUICE_LISTEN_HTTP: `127.0.0.1:${port}`,
      SLUICE_ADMIN_ADDRESS: `127.0.0.1:${admin}`,
    })
    later(() => child.end())
    const isUp = async () =>
      (await (await fetch(`http://127.0.0.1:${admin}/metrics`)).text()).includes(
        'sluice_store_up{store="limits"} 1',
      )
    await waitFor(isUp, { timeoutMs: 20_000, what: child.output() })
    urls.push(`http://127.0.0.1:${port}`)
  }
  const seen: number[] = []
  for (let i = 0; i < 12; i++) {
    const response = await fetch(urls[i % 2] as string, { headers: { 'x-tenant': 'a' } })
    seen.push(response.status)
    expect(response.headers.get('ratelimit-policy')).toContain('"each";q=60;w=60, "all";q=1000;w=1')
  }
  expect(seen.slice(0, 10)).toEqual(Array(10).fill(200))
  expect(seen).toContain(429)
  expect((await fetch(urls[0] as string, { headers: { 'x-tenant': 'b' } })).status).toBe(200)
})
