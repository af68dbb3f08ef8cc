import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { CanaryView, ReleaseView } from '../../src/core/views.ts'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { openPage, startBrowser } from '../support/page.ts'
import { canariesAnswer } from '../support/page-release-answers.ts'

/** A release that is led by somebody at the page of a real gateway. */

let gateway: GatewayProcess
let browser: Browser

const rule = (name: string) => `
  - name: ${name}
    service: ${name}
    canary: { version: "2.*" }
    key: ["header.x-user"]
    ramp:
      steps:
        - { percent: 10, for: 1h }
        - { percent: 50, hold: true }
        - { percent: 100, for: 1h }
    guard: { minRequests: 20, checks: [{ metric: error-ratio, maxIncrease: 1pp }] }`

const NAMES = ['catalog', 'cart', 'orders']

beforeAll(async () => {
  browser = await startBrowser()
  gateway = await startGateway({
    yaml: `registries: { local: { type: embedded } }
canary: { interval: 100ms }
routes:${NAMES.map((name) => `\n  - { name: ${name}, match: { pathPrefix: /${name} }, service: ${name} }`).join('')}
canaries:${NAMES.map(rule).join('')}
`,
  })
  for (const name of NAMES) {
    for (const version of ['1.0', '2.0']) {
      const answer = await fetch(`${gateway.adminUrl}/v1/agent/service/register`, {
        method: 'PUT',
        body: JSON.stringify({ ID: `${name}-${version}`, Name: name, Port: 9, Meta: { version } }),
      })
      expect(answer.status).toBe(200)
    }
  }
})
afterAll(async () => {
  await browser?.close()
  gateway?.signal('SIGKILL')
  await gateway?.exited()
})

const releaseOf = async (name: string): Promise<ReleaseView | undefined> =>
  (await gateway.admin<CanaryView>(`/api/canaries/${name}`)).release

const cardOf = (page: Page, name: string) => page.getByRole('article', { name: new RegExp(`^${name} `) })

const act = (name: string, body: object) =>
  gateway.admin<ReleaseView>(`/api/canary/${name}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })

test('somebody promotes a release with the keyboard alone, pauses it, and aborts it, each with a reason', async () => {
  const { page, problems, close } = await openPage(browser, gateway.adminUrl, { at: 'releases' })
  const card = cardOf(page, 'catalog')
  await card.getByText('ramping', { exact: true }).waitFor()
  expect(await card.getByLabel('Share', { exact: true }).textContent()).toBe('10 %')
  await card.getByText('a person promotes').waitFor()

  await card.getByRole('button', { name: 'Promote…' }).focus()
  await page.keyboard.press('Enter')
  const dialog = page.getByRole('dialog', { name: 'Promote catalog?' })
  await dialog.getByText('step 2 of 3, 50 %').waitFor()
  // Nothing is done without a reason.
  await page.keyboard.press('Enter')
  await dialog.getByText('step 2 of 3, 50 %').waitFor()
  expect((await releaseOf('catalog'))?.percent).toBe(10)
  await page.keyboard.type('the figures are good')
  await page.keyboard.press('Enter')
  await page.getByRole('status').getByText('catalog is holding with 50 %.').waitFor()
  await card.getByText('holding', { exact: true }).waitFor()
  await dialog.waitFor({ state: 'detached' })
  expect(await releaseOf('catalog')).toMatchObject({ status: 'holding', percent: 50 })
  // Whoever works with the keyboard goes on where they were.
  expect(await card.getByRole('button', { name: 'Promote…' }).evaluate((it) => it.matches(':focus'))).toBe(
    true,
  )

  await card.getByRole('button', { name: 'Pause…' }).click()
  await page.getByRole('textbox', { name: /^Reason/ }).fill('lunch')
  await page.getByRole('button', { name: 'Pause', exact: true }).click()
  await card.getByText('paused', { exact: true }).waitFor()
  await card.getByText('lunch', { exact: true }).first().waitFor()

  await card.getByRole('button', { name: 'Abort…' }).click()
  await page.getByRole('textbox', { name: /^Reason/ }).fill('wrong <b>prices</b>')
  await page.getByRole('button', { name: 'Abort', exact: true }).click()
  await card.getByText('aborted', { exact: true }).waitFor()
  expect(await card.getByLabel('Share', { exact: true }).textContent()).toBe('0 %')
  expect(await releaseOf('catalog')).toMatchObject({
    status: 'aborted',
    percent: 0,
    reason: 'wrong <b>prices</b>',
  })
  expect(await card.getByRole('button', { name: 'Promote…' }).count()).toBe(0)
  await card.getByRole('button', { name: 'Begin anew…' }).waitFor()

  await page.getByRole('main').getByRole('link', { name: 'catalog', exact: true }).first().click()
  await page.getByText('the figures are good').waitFor()
  await page.locator('.release-history').getByText('wrong <b>prices</b>').waitFor()
  await page.getByRole('img', { name: /^Share over time: .*10 %, 50 %, 50 %, 0 %$/ }).waitFor()
  expect(problems).toEqual([])
  await close()
})

test('a share is set by typing; what the gateway refuses stays in the dialog', async () => {
  const { page, close } = await openPage(browser, gateway.adminUrl, { at: 'releases/cart' })
  const card = cardOf(page, 'cart')
  await card.getByRole('button', { name: 'Set share…' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Share, percent').press('ControlOrMeta+a')
  await dialog.getByLabel('Share, percent').pressSequentially('0.05')
  await dialog.getByLabel(/^Reason/).fill('a little')
  await dialog.getByRole('button', { name: 'Set share' }).click()
  await page.getByRole('status').getByText('cart is paused with 0.05 %.').waitFor()
  expect(await releaseOf('cart')).toMatchObject({ status: 'paused', percent: 0.05 })

  await card.getByRole('button', { name: 'Set share…' }).click()
  await dialog.getByLabel('Share, percent').fill('80')
  await dialog.getByLabel(/^Reason/).fill('in a hurry')
  await dialog.getByRole('button', { name: 'Set share' }).click()
  await dialog.getByRole('alert').getByText('beyond the next step').waitFor()
  expect((await releaseOf('cart'))?.percent).toBe(0.05)
  await dialog.getByLabel('Even beyond the next step').check()
  await dialog.getByRole('button', { name: 'Set share' }).click()
  await page.getByRole('status').getByText('cart is paused with 80 %.').waitFor()
  await close()
})

test('what somebody else does is seen within a second; Escape changes nothing', async () => {
  const { page, close } = await openPage(browser, gateway.adminUrl, { at: 'releases' })
  const card = cardOf(page, 'orders')
  await card.getByText('ramping', { exact: true }).waitFor()
  await page.getByText('Live', { exact: true }).waitFor()
  await card.getByRole('button', { name: 'Abort…' }).click()
  await page.getByRole('dialog').waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  expect((await releaseOf('orders'))?.status).toBe('ramping')
  await act('orders', { action: 'pause', reason: 'from elsewhere', by: 'joe' })
  await card.getByText('from elsewhere').first().waitFor({ timeout: 1000 })
  await card
    .getByText(/by joe/)
    .first()
    .waitFor({ timeout: 1000 })
  await close()
})

test('a session that may only look sees everything and has no buttons that write', async () => {
  const answers = { '/api/session': { canWrite: false, who: 'read token' } }
  const { page, close } = await openPage(browser, gateway.adminUrl, { at: 'releases', answers })
  await cardOf(page, 'orders').getByText('Checks, and how near').waitFor()
  await page.getByText('read-only').waitFor()
  for (const name of [/Promote/, /Abort/, /Pause/, /Set share/, /Resume/, /Begin/]) {
    expect(await page.getByRole('button', { name }).count()).toBe(0)
  }
  await page.goto(`${gateway.adminUrl}/#/tables`)
  await page.getByText('in force').first().waitFor()
  expect(await page.getByRole('button', { name: /Roll back|Reload/ }).count()).toBe(0)
  await close()
})

test('rows that come into sight because what stood above is gone are drawn', async () => {
  const all = canariesAnswer(Date.now())
  let answer = all
  const answers = { '/api/canaries': () => answer }
  const size = { width: 600, height: 500 }
  const { page, close } = await openPage(browser, gateway.adminUrl, { at: 'releases', answers, ...size })
  await page.getByRole('article').first().waitFor()
  const row = page.getByRole('table', { name: 'Rules and lanes' }).getByRole('link', { name: 'blue' })
  expect(await row.count()).toBe(0)
  answer = { ...all, canaries: all.canaries.filter(({ release }) => release === undefined) }
  await row.waitFor()
  await close()
})
