import type { Browser, Page } from 'playwright-core'
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

/** What has the focus, by its role and name as readers say it. */
const focused = (page: Page) =>
  page.evaluate(() => {
    const { document } = globalThis as unknown as {
      document: {
        activeElement: { tagName: string; textContent: string; getAttribute(name: string): string | null }
      }
    }
    const { activeElement: one } = document
    return (one.getAttribute('aria-label') ?? one.getAttribute('placeholder') ?? one.textContent ?? '').trim()
  })

async function tabTo(page: Page, name: string | RegExp, key = 'Tab'): Promise<void> {
  const seen: string[] = []
  for (let step = 0; step < 40; step += 1) {
    await page.keyboard.press(key)
    const now = await focused(page)
    seen.push(now)
    if (typeof name === 'string' ? now === name : name.test(now)) return
  }
  expect(seen).toContain(name)
}

test('with the keyboard alone: from view to view, into an instance, through a dialog and back', async () => {
  const tab = await openPage(browser, gateway.adminUrl, { at: 'overview', answers })
  const { page } = tab
  await page.getByText('Traffic').first().waitFor()
  await page.keyboard.press('Tab')
  expect(await focused(page)).toBe('Skip to content')
  await tabTo(page, 'Services')
  await page.keyboard.press('Enter')
  await page.getByText('14 services shown').waitFor()
  // The new view has the focus: the next stop is its own.
  await page.keyboard.press('Tab')
  expect(await focused(page)).toBe('Name, route, version, address')
  await page.keyboard.type('cart')
  await page.getByText('2 services shown').waitFor()
  await tabTo(page, 'cart')
  const ring = await page.evaluate(() => {
    const { getComputedStyle, document } = globalThis as unknown as {
      getComputedStyle(element: object, part: string): { outlineStyle: string; outlineWidth: string }
      document: { activeElement: object }
    }
    const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement, '::after')
    return `${outlineStyle} ${outlineWidth}`
  })
  expect(ring).toBe('solid 2px')
  await page.keyboard.press('Enter')
  await page.getByRole('table', { name: 'Instances' }).waitFor()
  await tabTo(page, '10.1.0.1:8080')
  await page.keyboard.press('Enter')
  await page.getByRole('complementary', { name: 'Instance' }).waitFor()
  await tabTo(page, 'Drain…')
  await page.keyboard.press('Enter')
  await page.getByRole('dialog', { name: 'Drain 10.1.0.1:8080?' }).waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  expect(await focused(page)).toBe('Drain…')
  await page.keyboard.press('Escape')
  await page.getByRole('complementary', { name: 'Instance' }).waitFor({ state: 'detached' })
  expect(tab.problems).toEqual([])
  await tab.close()
})

test('with the keyboard alone: through the picture', async () => {
  const tab = await openPage(browser, gateway.adminUrl, { at: 'topology', answers })
  const { page } = tab
  const picture = page.getByRole('application', { name: 'Topology' })
  await picture.getByRole('img', { name: /^service cart,/ }).waitFor()
  await tabTo(page, 'Service or route')
  await tabTo(page, 'Topology')
  const active = () => picture.getAttribute('aria-activedescendant')
  for (const [key, id] of [
    ['ArrowDown', 'route/cart-api'],
    ['ArrowDown', 'route/catalog-api'],
    ['ArrowRight', 'service/catalog'],
    ['ArrowRight', 'version/catalog/2.0.4'],
    ['ArrowLeft', 'service/catalog'],
    ['End', 'service/catalog-1'],
    ['Home', 'service/cart'],
  ] as const) {
    await page.keyboard.press(key)
    expect([key, await active()]).toEqual([key, `node-${encodeURIComponent(id)}`])
  }
  await page.keyboard.press('Enter')
  await page.getByRole('complementary', { name: 'Chosen' }).getByText('5 of 5').waitFor()
  await page.keyboard.press(' ')
  await picture.getByRole('img', { name: /^service cart, .*closed/ }).waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('complementary', { name: 'Chosen' }).waitFor({ state: 'detached' })
  const width = async () =>
    (await picture.getByRole('img', { name: /^service cart,/ }).boundingBox())?.width ?? 0
  const before = await width()
  await page.keyboard.press('+')
  expect(await width()).toBeGreaterThan(before)
  await tab.close()
})

test('on a phone the menu opens, closes with Escape and leads on', async () => {
  const tab = await openPage(browser, gateway.adminUrl, { at: 'overview', width: 360, height: 740, answers })
  const { page } = tab
  const link = page.getByRole('navigation').getByRole('link', { name: 'Events' })
  await page.getByRole('button', { name: 'Menu' }).click()
  await link.waitFor()
  await page.keyboard.press('Escape')
  await link.waitFor({ state: 'hidden' })
  await page.getByRole('button', { name: 'Menu' }).click()
  await link.click()
  await page.getByRole('heading', { level: 1, name: 'Events' }).waitFor()
  await link.waitFor({ state: 'hidden' })
  await tab.close()
})
