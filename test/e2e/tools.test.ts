import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startConsul, type TestConsul } from '../support/consul.ts'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { startBrowser } from '../support/page.ts'

const TOKEN = 'may-write-everything'

/** What a script that got into a tool's page would try; by the way it took, what came of it. */
const ESCAPES = `(async () => {
  const reached = {}
  const ask = (scope) =>
    scope.fetch('/api/reload', { method: 'POST' }).then((answer) => String(answer.status)).catch(() => 'refused')
  reached.fetch = await ask(window)
  reached.window = window.open('/metrics') === null ? 'refused' : 'opened'
  for (const src of ['/metrics', '/tools/consul/-/lead.js', '/tools/consul/%zz', 'about:blank']) {
    const frame = document.createElement('iframe')
    frame.src = src
    document.body.append(frame)
    await new Promise((resolve) => setTimeout(resolve, 300))
    try {
      reached[src] = await ask(frame.contentWindow)
    } catch {
      reached[src] = 'refused'
    }
  }
  return reached
})()`

let consul: TestConsul
let gateway: GatewayProcess
let browser: Browser

beforeAll(async () => {
  consul = await startConsul({ hasUi: true })
  await consul.register({ Name: 'catalog', ID: 'catalog-1', Address: '127.0.0.1', Port: 9 })
  gateway = await startGateway({
    env: { SLUICE_ADMIN_TOKEN: TOKEN },
    prepare: (folder) => {
      const file = join(folder, 'sluice.yaml')
      const own = `admin: { tools: { consul: { url: "${consul.url}", title: Consul } },`
      writeFileSync(file, readFileSync(file, 'utf8').replace('admin: {', own))
    },
  })
  browser = await startBrowser()
})
afterAll(async () => {
  await browser?.close()
  await gateway?.stop()
  await consul?.stop()
})

test('Consul’s own pages work behind the sign-in, stay live, write, and get no further', async () => {
  const page = await (await browser.newContext()).newPage()
  const problems: string[] = []
  page.on('pageerror', (error) => problems.push(String(error)))
  page.on('requestfailed', (failed) => problems.push(`${failed.url()}: ${failed.failure()?.errorText}`))
  page.on('response', (response) => {
    // Without Connect, Consul says 500 to this.
    if (response.url().includes('/v1/discovery-chain/')) return
    if (response.status() >= 400) problems.push(`${response.url()}: ${response.status()}`)
  })
  const link = await page.goto(`${gateway.adminUrl}/tools/consul/`)
  expect(link?.status()).toBe(401)
  expect(await page.textContent('a')).toContain('page of the gateway')
  problems.length = 0

  await page.goto(`${gateway.adminUrl}/health/live`)
  await page.context().request.post(`${gateway.adminUrl}/api/session`, { data: { token: TOKEN } })
  await page.goto(`${gateway.adminUrl}/tools/consul/`)
  await page.getByRole('link', { name: 'catalog' }).waitFor()
  expect(page.url()).toBe(`${gateway.adminUrl}/tools/consul/ui/dc1/services`)

  // It waits for news, through the gateway.
  await consul.register({ Name: 'billing', ID: 'billing-1', Address: '127.0.0.1', Port: 9 })
  await page.getByRole('link', { name: 'billing' }).waitFor()
  await page.getByRole('link', { name: 'catalog' }).click()
  await page.getByText('catalog-1').first().waitFor()
  expect(page.url()).toContain('/tools/consul/ui/dc1/services/catalog')

  const written = await page.evaluate(() =>
    fetch('/v1/kv/from-the-page', { method: 'PUT', body: 'x' }).then((answer) => answer.status),
  )
  expect(written).toBe(200)
  expect(await consul.get<{ Key: string }[]>('/v1/kv/from-the-page')).toMatchObject([
    { Key: 'from-the-page' },
  ])
  expect(problems).toEqual([])

  const got = await page.evaluate<Record<string, string>>(ESCAPES)
  expect(new Set(Object.values(got))).toEqual(new Set(['refused']))
})
