import { afterAll, beforeAll, expect, test } from 'vitest'
import { dumpDom } from '../support/browser.ts'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'

const EVIL = '<img src=x onerror=document.title="owned">'
let gateway: GatewayProcess

beforeAll(async () => {
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
    body: JSON.stringify({ ID: EVIL, Name: 'shop', Port: 9, Tags: [EVIL], Meta: { version: EVIL } }),
  })
  expect(registered.status).toBe(200)
})
afterAll(async () => {
  gateway?.signal('SIGKILL')
  await gateway?.exited()
})

test('the page shows services, routes, tables and what is wrong, in a browser', async () => {
  const html = await dumpDom(gateway.adminUrl)
  expect(html).toContain('0.1.0 · ready · table')
  expect(html).toMatch(/<b>shop<\/b>/)
  expect(html).toContain('1 of 1 in rotation')
  expect(html).toContain('prefix /cart')
  expect(html).toContain('goes to "nobody", which no registry knows')
})

test('what a registry says is text to the page, never markup', async () => {
  const html = await dumpDom(gateway.adminUrl)
  expect(html).toContain('&lt;img src=x')
  expect(html).not.toContain('<img')
  expect(html).toContain('<title>Sluice</title>')
})

test('the page may load and send only to itself', async () => {
  const page = await fetch(gateway.adminUrl)
  expect(page.headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'")
  expect(page.headers.get('x-content-type-options')).toBe('nosniff')
})
