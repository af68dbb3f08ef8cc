import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { openPage, startBrowser } from '../support/page.ts'
import { viewsAnswers } from '../support/page-views-answers.ts'

/** Names of routes and rules, reasons, differences and what people write are text to the page, whatever they hold. */

const EVIL = '<img src=x onerror="document.title=`owned`"><script>document.title="owned"</script>'
const ODD = '"><svg onload=alert(1)>/../%2e%2e?#&javascript:alert(1)'
const VIEWS = [
  'routes',
  'explain',
  'requests',
  'requests/5f3a9c21',
  'releases',
  'refusals',
  'mirror',
  'contracts',
  'alerts',
  'history',
  'tables',
  'fleet',
  'audit',
  'tools',
]

let gateway: GatewayProcess
let browser: Browser

beforeAll(async () => {
  browser = await startBrowser()
  gateway = await startGateway({ yaml: 'registries: { local: { type: embedded } }' })
})
afterAll(async () => {
  await browser?.close()
  gateway?.signal('SIGKILL')
  await gateway?.exited()
})

/** What markup would leave behind if it were one; links lead to pages of this origin and to http alone. */
async function isHarmless({ page, problems }: Awaited<ReturnType<typeof openPage>>): Promise<void> {
  expect(await page.locator('img, script:not([type]), [onload], [onerror], iframe').count()).toBe(0)
  expect(await page.locator('a:not([href^="#/"]):not([href^="http"]):not([href^="/tools/"])').count()).toBe(0)
  expect(await page.title()).toContain('Sluice')
  expect(problems).toEqual([])
}

for (const hostile of [EVIL, ODD]) {
  test.each(VIEWS)(`%s shows ${hostile.slice(0, 8)}… as text`, async (at) => {
    const tab = await openPage(browser, gateway.adminUrl, { at, answers: viewsAnswers(Date.now(), hostile) })
    const main = tab.page.getByRole('main')
    if (at === 'explain') await main.getByText('Where would this request go?').waitFor()
    else await main.getByText(hostile).filter({ visible: true }).first().waitFor()
    await isHarmless(tab)
    await tab.close()
  })
}

test('names lead to their views, however odd they are', async () => {
  const tab = await openPage(browser, gateway.adminUrl, {
    at: 'routes',
    answers: viewsAnswers(Date.now(), ODD),
  })
  await tab.page.getByRole('main').getByRole('link', { name: ODD }).click()
  await tab.page.getByRole('heading', { level: 1 }).getByText(ODD).waitFor()
  await tab.page.getByText('Releases that look at its requests').waitFor()
  await isHarmless(tab)
  await tab.page.goto(`${gateway.adminUrl}/#/releases`)
  await tab.page.getByRole('main').getByRole('link', { name: ODD, exact: true }).click()
  await tab.page.getByText('Drawn by').waitFor()
  await isHarmless(tab)
  await tab.close()
})

test('a question with markup in it is asked and answered as text', async () => {
  const at = `explain?${new URLSearchParams({ url: `http://shop.example.com/${EVIL}`, headers: `x-a: ${EVIL}`, claims: EVIL })}`
  const tab = await openPage(browser, gateway.adminUrl, { at })
  await tab.page.getByText('Not JSON (yet)').waitFor()
  await tab.page.getByRole('textbox', { name: /^Claims/ }).fill('')
  await tab.page.getByRole('main').getByText('GW_ROUTE_NOT_FOUND').filter({ visible: true }).first().waitFor()
  await isHarmless(tab)
  await tab.close()
})
