import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type GatewayProcess, type ServiceProcess, startGateway, startService } from '../support/gateway.ts'
import { openPage, startBrowser, startLine } from '../support/page.ts'
import { waitFor } from '../support/wait.ts'

/** The page against a real gateway with the embedded registry and the services of the quickstart. */

let gateway: GatewayProcess
let browser: Browser
const services: ServiceProcess[] = []

const ROUTES = `routes:
  - { name: catalog, match: { pathPrefix: /catalog }, rewrite: { stripPrefix: /catalog }, service: catalog }
  - { name: orders, match: { hosts: [shop.example.com], pathPrefix: /orders }, service: orders }
  - { name: nobody, match: { pathPrefix: /nobody }, service: nobody }
`

beforeAll(async () => {
  browser = await startBrowser()
  gateway = await startGateway({
    yaml: 'registries: { local: { type: embedded } }',
    routes: { 'shop.yaml': ROUTES },
  })
  for (const [name, version] of [
    ['catalog', '1.0.0'],
    ['catalog', '2.0.0'],
    ['orders', '1.0.0'],
  ] as const) {
    services.push(await startService({ registry: gateway.adminUrl, name, version }))
  }
  await waitFor(async () => (await inRotation()) === 3, { what: 'three instances in rotation' })
})
afterAll(async () => {
  await browser?.close()
  for (const service of services) await service.kill9()
  gateway?.signal('SIGKILL')
  await gateway?.exited()
})

interface Services {
  readonly services: readonly {
    readonly name: string
    readonly available: number
    readonly instances: readonly {
      readonly key: string
      readonly id: string
      readonly address: string
      readonly use: string
    }[]
  }[]
}

async function inRotation(): Promise<number> {
  const { services: known } = await gateway.admin<Services>('/api/services')
  return known.reduce((sum, { available }) => sum + available, 0)
}

async function instancesOf(name: string) {
  const { services: known } = await gateway.admin<Services>('/api/services')
  return known.find((service) => service.name === name)?.instances ?? []
}

function register(body: object): Promise<Response> {
  return fetch(`${gateway.adminUrl}/v1/agent/service/register`, {
    method: 'PUT',
    body: JSON.stringify(body),
  })
}

const row = (page: Page, table: string, name: string) =>
  page.getByRole('table', { name: table }).getByRole('row').filter({ hasText: name })

test('the overview shows services, traffic, registries, the table and what is wrong', async () => {
  const { page, close, problems } = await openPage(browser, gateway.adminUrl)
  await row(page, 'Services', 'catalog').getByText('2 / 2').waitFor()
  await page.getByText(/Version \d+/).waitFor()
  await page.getByText('live · answered').waitFor()
  await page.getByText('goes to "nobody", which no registry knows').waitFor()
  await fetch(`${gateway.publicUrl}/catalog/items/1`)
  await row(page, 'Services', 'catalog')
    .getByText(/0\.\d\/s/)
    .waitFor()
  await page.getByRole('img', { name: /^Requests per second/ }).waitFor()
  expect(problems).toEqual([])
  await close()
})

test('from the list to a service, an instance and its checks', async () => {
  const { page, close, problems } = await openPage(browser, gateway.adminUrl, { at: 'services' })
  await page.getByRole('searchbox').fill('cata')
  await page.getByText('1 service shown').waitFor()
  await page.getByRole('link', { name: 'catalog' }).click()
  await page.getByText('1.0.0 × 1, 2.0.0 × 1').waitFor()
  const [first] = await instancesOf('catalog')
  await page
    .getByRole('link', { name: first?.address ?? '' })
    .first()
    .click()
  const panel = page.getByRole('complementary', { name: 'Instance' })
  await panel.getByText('in rotation', { exact: true }).waitFor()
  await panel.getByText(first?.id ?? '', { exact: true }).waitFor()
  await panel.getByRole('listitem').filter({ hasText: 'passing' }).first().waitFor()
  await panel.getByRole('listitem').filter({ hasText: 'appeared, ' }).waitFor()
  await page.keyboard.press('Escape')
  await panel.waitFor({ state: 'detached' })
  expect(problems).toEqual([])
  await close()
})

test('the topology is a picture from the gateway to the instances, and a list', async () => {
  const { page, close, problems } = await openPage(browser, gateway.adminUrl, { at: 'topology' })
  const picture = page.getByRole('application', { name: 'Topology' })
  await picture.getByRole('img', { name: /^service catalog, 2 of 2, well/ }).waitFor()
  await picture.getByRole('img', { name: /^version 2\.0\.0, well/ }).waitFor()
  await picture.getByRole('img', { name: /^route nobody, .*in trouble/ }).waitFor()
  await page.getByRole('button', { name: 'List' }).click()
  await row(page, 'Topology', '2.0.0').getByText('1 / 1').waitFor()
  expect(problems).toEqual([])
  await close()
})

test('an instance that dies is shown within a second of the gateway noticing', async () => {
  const victim = await startService({ registry: gateway.adminUrl, name: 'catalog', version: '3.0.0' })
  await waitFor(async () => (await instancesOf('catalog')).length === 3)
  const { page, close } = await openPage(browser, gateway.adminUrl, { at: 'services/catalog' })
  const known = await instancesOf('catalog')
  await page.getByText('3 of 3').waitFor()
  await victim.kill9()
  const noticed = waitFor(
    async () => {
      await Promise.all(Array.from({ length: 6 }, () => fetch(`${gateway.publicUrl}/catalog/items/1`)))
      return (await instancesOf('catalog')).find(({ use }) => use !== 'rotation')
    },
    { what: 'the gateway to notice' },
  )
  const dead = await noticed
  const at = performance.now()
  expect(known.map(({ key }) => key)).toContain(dead.key)
  await row(page, 'Instances', dead.address).getByText(dead.use).first().waitFor()
  expect(performance.now() - at).toBeLessThan(1000)
  await close()
  await fetch(`${gateway.adminUrl}/v1/agent/service/deregister/${encodeURIComponent(dead.id)}`, {
    method: 'PUT',
  })
})

test('events are told as they happen, can be filtered, and are not lost over a broken connection', async () => {
  const line = await startLine(gateway.adminUrl)
  const { page, close } = await openPage(browser, line.url, { at: 'events' })
  const appeared = (address: string) =>
    page.getByRole('listitem').filter({ hasText: address }).filter({ hasText: 'appeared' })
  await page.getByText('The gateway is ready').waitFor()
  await page.getByText('Live', { exact: true }).waitFor()
  await register({ ID: 'late-1', Name: 'orders', Address: '127.0.0.2', Port: 9 })
  await appeared('127.0.0.2:9').waitFor()
  line.cut()
  await page.getByText(/^Last answer .* ago\.$/).waitFor()
  await page.getByText('No answer', { exact: true }).waitFor()
  await register({ ID: 'late-2', Name: 'orders', Address: '127.0.0.3', Port: 9 })
  line.mend()
  await page.getByText('Live', { exact: true }).waitFor()
  await appeared('127.0.0.3:9').waitFor()
  expect(await appeared('127.0.0.2:9').count()).toBe(1)
  await page.getByRole('button', { name: /^state \d/ }).click()
  await page.getByText('The gateway is ready').waitFor()
  expect(await appeared('127.0.0.3:9').count()).toBe(0)
  await close()
  line.close()
  for (const id of ['late-1', 'late-2']) {
    await fetch(`${gateway.adminUrl}/v1/agent/service/deregister/${id}`, { method: 'PUT' })
  }
})

test('draining asks first, is done, and can be undone', async () => {
  const [one] = await instancesOf('orders')
  const at = `services/orders?instance=${encodeURIComponent(one?.key ?? '')}`
  const { page, close, problems } = await openPage(browser, gateway.adminUrl, { at })
  await page.getByRole('button', { name: 'Drain…' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Reason').fill('a disk is full')
  await dialog.getByRole('button', { name: 'Cancel' }).click()
  expect((await instancesOf('orders'))[0]?.use).toBe('rotation')
  await page.getByRole('button', { name: 'Drain…' }).click()
  await dialog.getByLabel('Reason').fill('a disk is full')
  await page.keyboard.press('Enter')
  await page.getByText(/is drained; every gateway hears of it/).waitFor()
  const back = page.getByRole('button', { name: 'Put back…' })
  await back.waitFor()
  // Whoever asked goes on where they were.
  expect(await back.evaluate((element) => element.matches(':focus'))).toBe(true)
  await back.click()
  await dialog.getByRole('button', { name: 'Put back' }).click()
  await page.getByText(/is put back/).waitFor()
  await waitFor(async () => (await instancesOf('orders'))[0]?.use === 'rotation')
  expect(problems).toEqual([])
  await close()
})

test('a session that may not write is offered no change', async () => {
  const [one] = await instancesOf('orders')
  const { page, close } = await openPage(browser, gateway.adminUrl, {
    at: `services/orders?instance=${encodeURIComponent(one?.key ?? '')}`,
    answers: { '/api/session': { canWrite: false, who: 'reader', via: 'session', hasSignIn: true } },
  })
  await page.getByText('read-only').waitFor()
  await page.getByText('in rotation', { exact: true }).first().waitFor()
  expect(await page.getByRole('button', { name: 'Drain…' }).count()).toBe(0)
  await close()
})

test('what a gateway does not offer or cannot say now is told, view by view', async () => {
  const { page, close } = await openPage(browser, gateway.adminUrl, {
    answers: { '/api/traffic': 404, '/api/tables': 500 },
  })
  await page.getByText('Traffic: this gateway does not offer it.').waitFor()
  await page.getByText('Tables: no answer').waitFor()
  await row(page, 'Services', 'catalog').waitFor()
  await close()
})

test('the page may load and send only to itself, and is not sent again when it did not change', async () => {
  const page = await fetch(gateway.adminUrl)
  const csp = page.headers.get('content-security-policy')
  expect(csp).toMatch(/^default-src 'none'; script-src 'self' 'sha256-[^']+'; style-src 'self';/)
  expect(csp).not.toContain('unsafe')
  expect(page.headers.get('x-content-type-options')).toBe('nosniff')
  expect(await page.text()).not.toMatch(/https?:\/\/(?!www\.w3\.org)/)
  const etag = page.headers.get('etag') ?? ''
  const again = await fetch(gateway.adminUrl, { headers: { 'if-none-match': etag } })
  expect(again.status).toBe(304)
  const api = await fetch(`${gateway.adminUrl}/api/topology`)
  expect(api.headers.get('cache-control')).toBe('no-store')
})
