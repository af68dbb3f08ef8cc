import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { openPage, startBrowser } from '../support/page.ts'
import { historyAnswer, landscapeAnswers } from '../support/page-answers.ts'

/** Whatever a registry says is text to the page: in names, tags, versions, outputs of checks, reasons and events. */

const EVIL = '<img src=x onerror="document.title=`owned`"><script>document.title="owned"</script>'
const ODD = '"><svg onload=alert(1)>/../%2e%2e?#&javascript:alert(1)'
let gateway: GatewayProcess
let browser: Browser

beforeAll(async () => {
  browser = await startBrowser()
  gateway = await startGateway({
    yaml: 'registries: { local: { type: embedded } }',
    routes: {
      'shop.yaml': `routes: [{ name: shop, match: { pathPrefix: /cart }, service: shop }]`,
    },
  })
  const registered = await fetch(`${gateway.adminUrl}/v1/agent/service/register`, {
    method: 'PUT',
    body: JSON.stringify({
      ID: EVIL,
      Name: 'shop',
      Port: 9,
      Tags: [EVIL, ODD],
      Meta: { version: EVIL, zone: EVIL },
      Check: { CheckID: 'evil', Name: EVIL, TTL: '1h', Status: 'passing' },
    }),
  })
  expect(registered.status).toBe(200)
  const reported = await fetch(`${gateway.adminUrl}/v1/agent/check/update/evil`, {
    method: 'PUT',
    body: JSON.stringify({ Status: 'warning', Output: EVIL }),
  })
  expect(reported.status).toBe(200)
})
afterAll(async () => {
  await browser?.close()
  gateway?.signal('SIGKILL')
  await gateway?.exited()
})

/** What markup would leave behind if it were one. */
async function isHarmless(page: Awaited<ReturnType<typeof openPage>>['page']): Promise<void> {
  expect(await page.locator('img, script:not([type]), [onload], [onerror], iframe').count()).toBe(0)
  expect(await page.title()).toContain('Sluice')
}

test.each(['overview', 'topology', 'topology?as=list', 'services', 'services/shop', 'events'])(
  '%s shows what a registry says as text',
  async (at) => {
    const { page, problems, close } = await openPage(browser, gateway.adminUrl, { at })
    await page.getByText('shop').filter({ visible: true }).first().waitFor()
    await isHarmless(page)
    expect(problems).toEqual([])
    await close()
  },
)

test('an instance shows its tags and the output of its checks as text', async () => {
  const { services } = await gateway.admin<{ services: { instances: { key: string }[] }[] }>('/api/services')
  const key = services[0]?.instances[0]?.key ?? ''
  expect(key).toContain('<img')
  const { page, problems, close } = await openPage(browser, gateway.adminUrl, {
    at: `services/shop?instance=${encodeURIComponent(key)}`,
  })
  await page.locator('pre').getByText(EVIL).waitFor()
  await page.locator('.tags').getByText(EVIL).waitFor()
  await page.locator('.tags').getByText(ODD).waitFor()
  await isHarmless(page)
  expect(problems).toEqual([])
  await close()
})

test.each([EVIL, ODD])('a service may be called %s', async (name) => {
  const landscape = { services: 3, instances: 2, now: Date.now(), names: [name] }
  const answers = { ...landscapeAnswers(landscape), '/api/history': historyAnswer(landscape) }
  const { page, problems, close } = await openPage(browser, gateway.adminUrl, { at: 'services', answers })
  await page.getByRole('link', { name }).click()
  await page.getByRole('heading', { level: 1 }).getByText(name).waitFor()
  await page.getByText('5 changes').or(page.getByText('6 changes')).waitFor()
  await page.getByRole('link', { name: '10.1.0.1:8080' }).first().click()
  await page.getByRole('complementary', { name: 'Instance' }).getByText('HTTP GET /health').waitFor()
  await isHarmless(page)
  await page.goto(`${gateway.adminUrl}/#/topology`)
  await page.getByRole('img', { name: `service ${name}` }).waitFor()
  await isHarmless(page)
  expect(problems).toEqual([])
  await close()
})
