import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { axeViolations, openPage, startBrowser } from '../support/page.ts'

const TOKEN = 'correct-horse-battery-staple'
let gateway: GatewayProcess
let browser: Browser

beforeAll(async () => {
  browser = await startBrowser()
  gateway = await startGateway({
    yaml: 'registries: { local: { type: embedded } }',
    env: { PAGE_TOKEN: TOKEN },
    prepare(folder) {
      const file = join(folder, 'sluice.yaml')
      const text = readFileSync(file, 'utf8')
      writeFileSync(file, text.replace(/(admin: \{ .*) \}/, '$1, token: "$${ENV:PAGE_TOKEN}" }'))
    },
  })
})
afterAll(async () => {
  await browser?.close()
  gateway?.signal('SIGKILL')
  await gateway?.exited()
})

const stored = (page: Page) =>
  page.evaluate(() => {
    const { sessionStorage, localStorage, document } = globalThis as unknown as {
      sessionStorage: object
      localStorage: object
      document: { cookie: string }
    }
    return {
      session: Object.values(sessionStorage),
      local: Object.values(localStorage),
      cookie: document.cookie,
    }
  })

test('the API is closed, the files of the page are open', async () => {
  const status = async (path: string) => (await fetch(gateway.adminUrl + path)).status
  expect(await status('/api/topology')).toBe(401)
  expect(await status('/api/events')).toBe(401)
  for (const path of ['/', '/page/main.js', '/page/css/base.css', '/vendor/preact.js']) {
    expect([path, await status(path)]).toEqual([path, 200])
  }
  for (const path of ['/page/../api/topology', '/page/%2e%2e/api/topology', '/page/none.js', '/vendor/']) {
    expect([path, await status(path)]).toEqual([path, 401])
  }
})

test('a wrong token is refused in words, the right one opens the page and stays nowhere', async () => {
  const { page, context, close } = await openPage(browser, gateway.adminUrl, { at: 'services' })
  const field = page.getByLabel('Token')
  await field.waitFor()
  expect(await field.evaluate((element) => element.matches(':focus'))).toBe(true)
  expect(await axeViolations(page)).toEqual([])
  await field.fill('not the token')
  await page.keyboard.press('Enter')
  await page.getByText('The gateway refused this token.').waitFor()
  await field.fill(TOKEN)
  await page.getByLabel('Your name').fill('maria')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Services' }).waitFor()
  await page.getByText('Live', { exact: true }).waitFor()
  await page.getByText('maria', { exact: true }).waitFor()
  expect(await stored(page)).toEqual({ session: [], local: [], cookie: '' })
  const cookies = await context.cookies()
  expect(cookies).toMatchObject([{ httpOnly: true, sameSite: 'Strict' }])
  expect(JSON.stringify(cookies)).not.toContain(TOKEN)

  await page.reload()
  await page.getByText('Live', { exact: true }).waitFor()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await field.waitFor()
  expect(await context.cookies()).toEqual([])
  await close()
})

test('a session that ends leads back to the sign-in, and on to where one was', async () => {
  const { page, context, close } = await openPage(browser, gateway.adminUrl, { at: 'events' })
  const field = page.getByLabel('Token')
  for (let round = 0; round < 2; round += 1) {
    await field.fill(TOKEN)
    await page.keyboard.press('Enter')
    await page.getByText('The gateway is ready').waitFor()
    await context.clearCookies()
    await field.waitFor()
  }
  await close()
})
