import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { axeViolations, openPage, sidewaysScroll, startBrowser } from '../support/page.ts'
import { landscapeAnswers } from '../support/page-answers.ts'

/** Every view as all see it: both themes, the smallest phone, without a mouse, without eyes. */

const INSTANCE = encodeURIComponent('local/dc1/node-0/cart-0')
const VIEWS = [
  ['overview', 'Traffic'],
  ['topology', '5 of 5'],
  ['topology?node=service%2Fpayments', 'Open service'],
  ['topology?as=list', 'cart-api'],
  ['services', 'payments'],
  ['services/cart', 'flapping'],
  [`services/cart?instance=${INSTANCE}`, 'HTTP GET /health'],
  ['services/nobody', 'No service of this name'],
  ['events', 'The gateway is ready'],
] as const

let gateway: GatewayProcess
let browser: Browser
let answers: Record<string, unknown>

beforeAll(async () => {
  browser = await startBrowser()
  gateway = await startGateway({ yaml: 'registries: { local: { type: embedded } }' })
  answers = landscapeAnswers({ services: 14, instances: 5, now: Date.now() })
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

test('a theme that was chosen stays, whatever the system says', async () => {
  const tab = await openPage(browser, gateway.adminUrl, { at: 'overview', scheme: 'light' })
  const background = () =>
    tab.page.evaluate(() => {
      const { getComputedStyle, document } = globalThis as unknown as {
        getComputedStyle(element: object): { backgroundColor: string }
        document: { documentElement: object }
      }
      return getComputedStyle(document.documentElement).backgroundColor
    })
  const light = await background()
  await tab.page.getByRole('button', { name: /Change to light/ }).click()
  await tab.page.getByRole('button', { name: /Change to dark/ }).click()
  expect(await background()).not.toBe(light)
  await tab.page.reload()
  await tab.page.getByRole('button', { name: /Colours: dark/ }).waitFor()
  expect(await background()).not.toBe(light)
  await tab.close()
})
