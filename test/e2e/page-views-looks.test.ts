import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { axeViolations, openPage, sidewaysScroll, startBrowser } from '../support/page.ts'
import { viewsAnswers } from '../support/page-views-answers.ts'

/** Views of traffic and of the gateway as all see them: both themes, the smallest phone, without eyes. */

const QUESTION = new URLSearchParams({ url: 'http://shop.example.com/cart/7', headers: 'x-user: 42' })
const VIEWS = [
  ['routes', 'shop-beta'],
  ['routes/shop', 'Releases that look at its requests'],
  ['routes/nobody', 'No route of this name'],
  ['explain', 'Where would this request go?'],
  [`explain?${QUESTION}`, 'every condition met'],
  ['requests', '/cart/7'],
  ['requests/5f3a9c21', 'would refuse 403'],
  ['releases', 'checkout-v5'],
  ['releases/catalog-v2', 'nothing bad was found'],
  ['releases/blue', '1: claim team is "blue" -> blue'],
  ['refusals', '60 requests'],
  ['mirror', '$.items[].price'],
  ['contracts', 'its own earlier answers'],
  ['alerts', 'only 1 of 4 instances'],
  ['history', 'while it was down'],
  ['tables', 'The last candidate was rejected'],
  ['fleet', 'Where gateways do not agree'],
  ['audit', 'wrong prices'],
  ['tools', 'Grafana'],
] as const

let gateway: GatewayProcess
let browser: Browser
let answers: Record<string, unknown>

beforeAll(async () => {
  browser = await startBrowser()
  gateway = await startGateway({
    yaml: 'registries: { local: { type: embedded } }',
    routes: {
      'shop.yaml':
        'routes: [{ name: shop, match: { pathPrefix: /cart }, upstreams: ["http://127.0.0.1:9"] }]',
    },
  })
  answers = viewsAnswers(Date.now())
})
afterAll(async () => {
  await browser?.close()
  gateway?.signal('SIGKILL')
  await gateway?.exited()
})

for (const scheme of ['light', 'dark'] as const) {
  test.each(VIEWS)(
    `${scheme}: %s is well-formed for everybody, and nothing is wrong in the console`,
    async (at, text) => {
      const tab = await openPage(browser, gateway.adminUrl, { at, scheme, answers })
      await tab.page.getByText(text).filter({ visible: true }).first().waitFor()
      expect(await axeViolations(tab.page)).toEqual([])
      expect(tab.problems).toEqual([])
      await tab.close()
    },
  )
}

test.each(VIEWS)('360 px wide: %s needs no sideways scrolling', async (at, text) => {
  const tab = await openPage(browser, gateway.adminUrl, { at, width: 360, height: 740, answers })
  await tab.page.getByText(text).filter({ visible: true }).first().waitFor()
  expect(await sidewaysScroll(tab.page)).toBeLessThanOrEqual(0)
  expect(await axeViolations(tab.page)).toEqual([])
  await tab.close()
})

test.each(['light', 'dark'] as const)('%s: the dialogs that ask are well-formed, too', async (scheme) => {
  const tab = await openPage(browser, gateway.adminUrl, { at: 'releases/catalog-v2', scheme, answers })
  for (const name of ['Promote…', 'Pause…', 'Set share…', 'Abort…']) {
    await tab.page.getByRole('button', { name, exact: true }).click()
    await tab.page.getByRole('dialog').waitFor()
    expect(await axeViolations(tab.page)).toEqual([])
    await tab.page.keyboard.press('Escape')
    await tab.page.getByRole('dialog').waitFor({ state: 'detached' })
  }
  expect(tab.problems).toEqual([])
  await tab.close()
})
