import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { TablesView } from '../../src/core/views.ts'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { openPage, startBrowser } from '../support/page.ts'
import { auditAnswer } from '../support/page-views-answers.ts'
import { waitFor } from '../support/wait.ts'

/** Views of a real gateway, what they change, and what they show when there is nothing, or nobody answers. */

const ROUTES = `routes:
  - { name: shop, match: { pathPrefix: /cart }, upstreams: ["http://127.0.0.1:9"] }
  - { name: closed, match: { pathPrefix: /closed }, filters: [{ type: ip-deny, networks: [127.0.0.0/8] }], upstreams: ["http://127.0.0.1:9"] }
`
let gateway: GatewayProcess
let browser: Browser

beforeAll(async () => {
  browser = await startBrowser()
  gateway = await startGateway({
    yaml: 'registries: { local: { type: embedded } }',
    routes: { 'shop.yaml': ROUTES },
  })
})
afterAll(async () => {
  await browser?.close()
  gateway?.signal('SIGKILL')
  await gateway?.exited()
})

const tables = () => gateway.admin<TablesView>('/api/tables')

test('a rollback by clicking brings the routes back, and says so', async () => {
  const { current: before } = await tables()
  gateway.writeRoutes('shop.yaml', ROUTES.replace('name: shop', 'name: shop-next'))
  await waitFor(async () => (await tables()).current !== before)
  const { page, problems, close } = await openPage(browser, gateway.adminUrl, { at: 'tables' })
  const versions = page.getByRole('region', { name: 'Versions' })
  await versions.getByText('route shop-next').first().waitFor()
  await versions
    .getByRole('listitem')
    .filter({ hasText: new RegExp(`^${before}`) })
    .getByRole('button', { name: 'Roll back…' })
    .click()
  const dialog = page.getByRole('dialog', { name: `Roll back to version ${before}?` })
  await dialog.getByRole('button', { name: 'Cancel' }).click()
  await dialog.waitFor({ state: 'detached' })
  expect(await gateway.admin('/api/routes/shop')).toMatchObject({ code: 'GW_ADMIN_NOT_FOUND' })
  await versions
    .getByRole('listitem')
    .filter({ hasText: new RegExp(`^${before}`) })
    .getByRole('button', { name: 'Roll back…' })
    .click()
  await dialog.getByText('What was changed since then').click()
  await dialog.getByText('route shop-next').first().waitFor()
  await dialog.getByRole('button', { name: `Roll back to ${before}` }).click()
  await page
    .getByRole('status')
    .getByText(`is in force, with the configuration of version ${before}`)
    .waitFor()
  expect(await gateway.admin('/api/routes/shop')).toMatchObject({ name: 'shop' })
  await versions.getByText('rollback').first().waitFor()
  expect(problems).toEqual([])
  await close()
})

test('a configuration that is not valid is shown where it stands; a reload says why it was not taken', async () => {
  const { page, close } = await openPage(browser, gateway.adminUrl, { at: 'tables' })
  await page.getByRole('region', { name: 'Versions' }).waitFor()
  gateway.writeRoutes('shop.yaml', ROUTES.replace('pathPrefix: /cart', 'pathPrefx: /cart'))
  await page.getByRole('heading', { name: 'The last candidate was rejected' }).waitFor()
  await page.getByText('pathPrefx').first().waitFor()
  await page.getByRole('navigation').getByText('rejected').waitFor()
  await page.getByRole('button', { name: 'Reload…' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Reload' }).click()
  await page.getByRole('alert').getByText('pathPrefx').waitFor()
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
  gateway.writeRoutes('shop.yaml', ROUTES)
  await page.getByRole('heading', { name: 'The last candidate was rejected' }).waitFor({ state: 'detached' })
  await page.getByRole('button', { name: 'Reload…' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Reload' }).click()
  await page.getByRole('status').getByText('The configuration was read').waitFor()
  await close()
})

test('what a filter refused is listed, counted and narrowed; its request id leads on', async () => {
  const refused = await fetch(`${gateway.publicUrl}/closed/x`)
  expect(refused.status).toBe(403)
  const { page, close } = await openPage(browser, gateway.adminUrl, { at: 'refusals' })
  const last = page.getByRole('table', { name: 'Refused requests' })
  await last.getByText('ip-deny · GW_AUTH_IP').first().waitFor()
  await page.getByRole('combobox', { name: 'Code' }).selectOption('GW_AUTH_IP')
  await page.getByRole('combobox', { name: 'Route' }).selectOption('closed')
  await page.getByRole('status').getByText('1 of 1 request').waitFor()
  await page.getByRole('searchbox', { name: 'Request id, client, reason' }).fill('nothing like it')
  await page.getByText('None of the last 1 matches').waitFor()
  await page.getByRole('link', { name: 'Show all' }).click()
  await last
    .getByRole('link', { name: /^[0-9a-zA-Z-]{16,}$/ })
    .first()
    .click()
  await page.getByRole('region', { name: 'Refused' }).getByText('GW_AUTH_IP').waitFor()
  await page.getByText('Not explained').waitFor()
  await close()
})

test('what is done at the page stands in the audit', async () => {
  const { page, close } = await openPage(browser, gateway.adminUrl, { at: 'tables' })
  await page.getByRole('button', { name: 'Reload…' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Reload' }).click()
  await page.getByRole('status').getByText('The configuration was read').waitFor()
  await page.getByRole('navigation').getByRole('link', { name: 'Audit' }).click()
  await page.getByRole('listitem').filter({ hasText: 'reload' }).getByText('127.0.0.1').first().waitFor()
  await close()
})

test('the audit tells who did what, narrowed by who and by words', async () => {
  const answers = { '/api/audit': auditAnswer(Date.now()) }
  const { page, close } = await openPage(browser, gateway.adminUrl, { at: 'audit', answers })
  await page.getByText('wrong prices').waitFor()
  await page.getByRole('combobox', { name: 'Who' }).selectOption('maria')
  await page.getByRole('status').getByText('3 of 5').waitFor()
  await page.getByRole('searchbox').fill('table 40')
  await page.getByText('3 changes of the table').click()
  await page.getByText('route legacy').waitFor()
  await close()
})

const EMPTY = [
  ['releases', 'No releases', { '/api/canaries': { canaries: [] } }],
  ['mirror', 'No copies yet', {}],
  ['contracts', 'No answers are watched', {}],
  ['requests', 'Explaining real requests is not switched on', {}],
  ['refusals', 'Nothing was refused', { '/api/refusals': { refusals: [], counts: [] } }],
  ['routes', 'No routes yet', { '/api/routes': { routes: [] } }],
  ['tables', 'No table yet', { '/api/tables': { versions: [], warnings: [], problems: [] } }],
  ['alerts', 'Nothing fires', { '/api/alerts': { alerts: [] } }],
  ['history', 'Nothing has changed', { '/api/history': { entries: [], from: 1 } }],
  ['fleet', 'This gateway is alone', {}],
  ['audit', 'Nothing was changed', { '/api/audit': { entries: [] } }],
  ['tools', 'No tools', {}],
] as const

test.each(EMPTY)('%s says in words that there is nothing: %s', async (at, text, answers) => {
  const { page, close } = await openPage(browser, gateway.adminUrl, { at, answers })
  await page.getByRole('main').getByText(text).waitFor()
  await close()
})

const PATHS = [
  ['releases', '/api/canaries', 'Releases'],
  ['mirror', '/api/mirror', 'Mirrors'],
  ['contracts', '/api/contracts', 'Contracts'],
  ['refusals', '/api/refusals', 'Refusals'],
  ['routes', '/api/routes', 'Routes'],
  ['tables', '/api/tables', 'Tables'],
  ['alerts', '/api/alerts', 'Alerts'],
  ['history', '/api/history', 'History'],
  ['fleet', '/api/fleet', 'The fleet'],
  ['audit', '/api/audit', 'The audit'],
  ['tools', '/api/tools', 'Tools'],
] as const

test.each(PATHS)('%s: a gateway without %s, and one that fails, are told apart', async (at, path, name) => {
  let status = 404
  const answers = { [path]: () => status }
  const without = await openPage(browser, gateway.adminUrl, { at, answers })
  await without.page.getByRole('main').getByText(`${name}: this gateway does not offer it.`).waitFor()
  await without.close()
  status = 500
  const failing = await openPage(browser, gateway.adminUrl, { at, answers })
  await failing.page.getByRole('main').getByText(`${name}: no answer`).waitFor()
  await failing.close()
})
