import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { openPage, startBrowser } from '../support/page.ts'

let gateway: GatewayProcess
let browser: Browser

beforeAll(async () => {
  browser = await startBrowser()
  gateway = await startGateway({
    yaml: 'registries: { local: { type: embedded } }',
    routes: {
      'shop.yaml': `routes:
  - { name: shop, match: { hosts: [shop.example.com], pathPrefix: /cart }, service: shop }
  - { name: nobody, match: { pathPrefix: /nobody }, service: nobody }
`,
    },
  })
  const registered = await fetch(`${gateway.adminUrl}/v1/agent/service/register`, {
    method: 'PUT',
    body: JSON.stringify({ ID: 'shop-1', Name: 'shop', Port: 9, Meta: { version: '1.0.0' } }),
  })
  expect(registered.status).toBe(200)
})
afterAll(async () => {
  await browser?.close()
  gateway?.signal('SIGKILL')
  await gateway?.exited()
})

test('the overview shows services, registries, the table and what is wrong', async () => {
  const { page, context } = await openPage(browser, gateway.adminUrl)
  await page.getByRole('table', { name: 'Services' }).getByText('shop', { exact: true }).waitFor()
  await page.getByText('Version 2').waitFor()
  await page.getByText('live · answered').waitFor()
  await page.getByText('goes to "nobody", which no registry knows').waitFor()
  await context.close()
})

test('the page may load and send only to itself', async () => {
  const page = await fetch(gateway.adminUrl)
  const csp = page.headers.get('content-security-policy')
  expect(csp).toMatch(/^default-src 'none'; script-src 'self' 'sha256-[^']+'; style-src 'self';/)
  expect(csp).not.toContain('unsafe')
  expect(page.headers.get('x-content-type-options')).toBe('nosniff')
})
