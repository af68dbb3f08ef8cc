import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDebugToken } from '../../src/core/debug-token.ts'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { openPage, startBrowser } from '../support/page.ts'

/** The question where a request would go, asked at the page of a real gateway. */

const KEY = 'a-key-of-thirty-two-bytes-or-more'

let gateway: GatewayProcess
let browser: Browser

const register = (id: string, port: number, version: string) =>
  fetch(`${gateway.adminUrl}/v1/agent/service/register`, {
    method: 'PUT',
    body: JSON.stringify({ ID: id, Name: 'cart', Port: port, Meta: { version } }),
  })

beforeAll(async () => {
  browser = await startBrowser()
  gateway = await startGateway({
    yaml: `registries: { local: { type: embedded } }
canaries: [{ name: v2, service: cart, canary: { version: "2.*" }, percent: 0, match: [{ name: blue, claim: { team: blue }, side: canary }] }]`,
    env: { SLUICE_ADMIN_DEBUG_KEY: KEY },
    routes: {
      'shop.yaml': `routes:
  - { name: cart, match: { hosts: [shop.example.com], pathPrefix: /cart }, service: cart, filters: [{ type: security-headers }] }
  - { name: cart-beta, match: { hosts: [shop.example.com], pathPrefix: /cart, headers: { x-beta: { present: true } } }, service: cart }
  - { name: all, match: { hosts: [shop.example.com], pathPrefix: / }, upstreams: ["http://127.0.0.1:9"] }
  - { name: guarded, match: { pathPrefix: /guarded }, service: cart, filters: [{ type: security-headers }, { type: ip-deny, networks: [127.0.0.0/8] }] }
`,
    },
  })
  for (const [id, port, version] of [
    ['c-1', 7001, '1.0'],
    ['c-2', 7002, '2.0'],
  ] as const) {
    expect((await register(id, port, version)).status).toBe(200)
  }
})
afterAll(async () => {
  await browser?.close()
  gateway?.signal('SIGKILL')
  await gateway?.exited()
})

test('the answer follows what is typed: candidates, why they lost, version and instances', async () => {
  const { page, problems, close } = await openPage(browser, gateway.adminUrl, { at: 'explain' })
  const main = page.getByRole('main')
  await main.getByRole('textbox', { name: 'URL' }).pressSequentially('shop.example.com/cart/7')
  const candidates = main.getByRole('region', { name: 'Which route, and why' })
  await candidates.getByText('by cart: longer prefix').waitFor()
  await candidates.getByText('condition not met: header x-beta').waitFor()
  await main.getByRole('list', { name: 'The way of the request' }).getByText('1 of 2').waitFor()

  await main.getByText('Headers, client and claims').click()
  await main.getByRole('textbox', { name: 'Headers' }).pressSequentially('x-beta')
  await main.getByText('Line 1 is not “name: value”').waitFor()
  await main.getByRole('textbox', { name: 'Headers' }).pressSequentially(': 1')
  await candidates.getByText('by cart-beta:').first().waitFor()

  await main.getByRole('textbox', { name: /^Claims/ }).fill('{ "team": "blue" }')
  const version = main.getByRole('region', { name: 'Which version, and why' })
  await version.getByText('v2: match blue -> canary').waitFor()
  const instances = main.getByRole('region', { name: 'Instances' })
  await instances.getByText('not of side canary').waitFor()
  await page.getByRole('status').getByText('Route cart-beta, service cart, side canary: 1 of 2').waitFor()
  expect(problems).toEqual([])
  await close()
})

test('the address holds the question: whoever follows it sees the same answer', async () => {
  const first = await openPage(browser, gateway.adminUrl, { at: 'explain' })
  await first.page.getByRole('combobox', { name: 'Method' }).selectOption('POST')
  await first.page.getByRole('textbox', { name: 'URL' }).fill('http://shop.example.com/cart/%C3%BC?a=1&b=2#x')
  await first.page.getByText('Headers, client and claims').click()
  await first.page.getByRole('textbox', { name: 'Headers' }).fill('x-beta: a&b=c\ncookie: a=1')
  await first.page.getByText('by cart-beta:').first().waitFor()
  const at = first.page.url().split('#/')[1] ?? ''
  await first.close()
  const second = await openPage(browser, gateway.adminUrl, { at })
  await second.page.getByText('by cart-beta:').first().waitFor()
  expect(await second.page.getByRole('combobox', { name: 'Method' }).inputValue()).toBe('POST')
  expect(await second.page.getByRole('textbox', { name: 'URL' }).inputValue()).toContain(
    '/cart/%C3%BC?a=1&b=2',
  )
  expect(await second.page.getByRole('textbox', { name: 'Headers' }).inputValue()).toBe(
    'x-beta: a&b=c\ncookie: a=1',
  )
  // Back to another question, as with any page.
  await second.page.goto(`${gateway.adminUrl}/#/explain?url=http://nowhere.example.com/`)
  await second.page.getByText('GW_ROUTE_NOT_FOUND').filter({ visible: true }).first().waitFor()
  expect(await second.page.getByRole('textbox', { name: 'URL' }).inputValue()).toBe(
    'http://nowhere.example.com/',
  )
  await second.page.goBack()
  await second.page.getByText('by cart-beta:').first().waitFor()
  await second.close()
})

test('a pasted curl command becomes the question', async () => {
  const { page, close } = await openPage(browser, gateway.adminUrl, { at: 'explain' })
  const command = String.raw`curl -sS -X PUT 'http://shop.example.com/cart/1' \
  -H 'x-beta: it'"'"'s' -H "cookie: a=\"b\"" --data-raw '{"a": 1}' -o /dev/null --compressed`
  await page.getByRole('textbox', { name: 'URL' }).evaluate((field, text) => {
    const { DataTransfer, ClipboardEvent } = globalThis as unknown as {
      DataTransfer: new () => { setData(type: string, text: string): void }
      ClipboardEvent: new (type: string, init: object) => Event
    }
    const clipboardData = new DataTransfer()
    clipboardData.setData('text', text)
    field.dispatchEvent(
      new ClipboardEvent('paste', { clipboardData, cancelable: true, bubbles: true }) as never,
    )
  }, command)
  await page.getByText('by cart-beta:').first().waitFor()
  expect(await page.getByRole('combobox', { name: 'Method' }).inputValue()).toBe('PUT')
  expect(await page.getByRole('textbox', { name: 'URL' }).inputValue()).toBe('http://shop.example.com/cart/1')
  expect(await page.getByRole('textbox', { name: 'Headers' }).inputValue()).toBe(
    'x-beta: it\'s\ncookie: a="b"',
  )
  await close()
})

test('an answer changes with the table, without a touch', async () => {
  const { page, close } = await openPage(browser, gateway.adminUrl, {
    at: 'explain?url=http://shop.example.com/cart/7',
  })
  const way = page.getByRole('list', { name: 'The way of the request' })
  await way.getByText('1 of 2').waitFor()
  await page.getByText('Live', { exact: true }).waitFor()
  expect((await register('c-3', 7003, '1.1')).status).toBe(200)
  await way.getByText('2 of 3').waitFor({ timeout: 2000 })
  await close()
})

test('a route leads to a question that it takes', async () => {
  const { page, close } = await openPage(browser, gateway.adminUrl, { at: 'routes' })
  await page.getByRole('searchbox', { name: 'Search routes' }).fill('x-beta')
  await page.getByRole('status').getByText('1 of 4 routes').waitFor()
  await page.getByRole('searchbox', { name: 'Search routes' }).fill('')
  await page.getByRole('main').getByRole('link', { name: 'cart', exact: true }).click()
  await page.getByRole('region', { name: 'Filters' }).getByText('security-headers').waitFor()
  await page.getByRole('link', { name: 'Explain a request' }).click()
  await page.getByText('every condition met, none ranks higher').waitFor()
  expect(await page.getByRole('textbox', { name: 'URL' }).inputValue()).toBe('http://shop.example.com/cart')
  await close()
})

test('a real request with a token is told step by step; one that a filter refused ends there', async () => {
  const token = createDebugToken(KEY, Date.now(), 60_000)
  const { page, problems, close } = await openPage(browser, gateway.adminUrl, { at: 'requests' })
  await page.getByText('No request was explained yet').waitFor()
  const answer = await fetch(`${gateway.publicUrl}/guarded/<b>x</b>`, {
    headers: { 'x-sluice-debug': token },
  })
  expect(answer.status).toBe(403)
  await page
    .getByRole('table', { name: 'Explained requests' })
    .getByRole('link', { name: /guarded/ })
    .click()
  await page.getByRole('region', { name: 'Filters' }).getByText('refused 403').waitFor()
  const way = page.getByRole('list', { name: 'The way of the request' })
  await way.getByText('refused by ip-deny').waitFor()
  expect(await way.getByText('Instances').count()).toBe(0)
  await page.getByRole('region', { name: 'What became of it' }).getByText('No instance was asked').waitFor()
  await page.getByRole('region', { name: 'Refused' }).getByText('GW_AUTH_IP').waitFor()
  expect(problems).toEqual([])
  await close()
})
