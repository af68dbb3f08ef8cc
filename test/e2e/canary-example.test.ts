import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { CanaryView, TablesView } from '../../src/core/views.ts'
import { useCleanups } from '../support/cleanup.ts'
import { type GatewayProcess, startGateway, startService } from '../support/gateway.ts'
import { waitFor } from '../support/wait.ts'

const ROOT = join(import.meta.dirname, '../..')
const EXAMPLE = join(ROOT, 'examples/canary')
const SLUICE = join(ROOT, 'bin/sluice')
const { later } = useCleanups()

/** The example's folders in a gateway on free ports. */
async function startExample(): Promise<GatewayProcess> {
  const gateway = await startGateway({
    yaml: 'registries: { local: { type: embedded } }\n',
    prepare: (folder) => {
      for (const name of ['routes.d', 'canary.d']) {
        cpSync(join(EXAMPLE, name), join(folder, name), { recursive: true })
      }
    },
  })
  later(() => gateway.stop())
  return gateway
}

function edit(gateway: GatewayProcess, from: string, to: string): void {
  const file = join(gateway.folder, 'canary.d/catalog-v2.yaml')
  writeFileSync(`${file}.new`, readFileSync(file, 'utf8').replace(from, to))
  renameSync(`${file}.new`, file)
}

async function versionOf(
  gateway: GatewayProcess,
  path: string,
  headers: Record<string, string>,
): Promise<string> {
  const answer = await fetch(gateway.publicUrl + path, { headers })
  return answer.ok ? ((await answer.json()) as { version: string }).version : String(answer.status)
}

test('the example is valid, without a warning', () => {
  const { status, stdout } = spawnSync(SLUICE, ['check', EXAMPLE, '--strict'], { encoding: 'utf8' })
  expect(stdout).toContain('0 errors, 0 warnings')
  expect(stdout).toContain('1 canary rules, 1 lanes')
  expect(status).toBe(0)
})

test('the example does what its README says', async () => {
  const gateway = await startExample()
  const instances = [
    ['catalog', '1.0.0'],
    ['catalog', '2.0.0'],
    ['catalog', '3.0.0'],
    ['cart', '1.0.0'],
    ['cart', '3.0.0'],
  ] as const
  const services = await Promise.all(
    instances.map(([name, version]) => startService({ registry: gateway.adminUrl, name, version })),
  )
  for (const service of services) later(() => service.kill9())
  const canaries = async () => (await gateway.admin<{ canaries: CanaryView[] }>('/api/canaries')).canaries
  await waitFor(
    async () =>
      (await canaries()).flatMap(({ sides }) => sides).every(({ available }) => available > 0) &&
      (await versionOf(gateway, '/cart', {})) === '1.0.0',
    { what: 'all versions in rotation' },
  )

  expect(await versionOf(gateway, '/catalog', { 'x-user-id': 'alice' })).toBe('2.0.0')
  expect(await versionOf(gateway, '/catalog', { cookie: 'beta=1' })).toBe('2.0.0')
  expect(await versionOf(gateway, '/catalog', { 'x-user-id': 'blue-1' })).toBe('3.0.0')
  expect(await versionOf(gateway, '/cart', { 'x-user-id': 'blue-1' })).toBe('3.0.0')

  const users = Array.from({ length: 200 }, (_, i) => `u-${i}`)
  const seen = async () => {
    const versions = []
    for (const id of users) versions.push(await versionOf(gateway, '/catalog', { 'x-user-id': id }))
    return versions
  }
  const before = await seen()
  expect(new Set(before)).toEqual(new Set(['1.0.0', '2.0.0']))

  edit(gateway, 'percent: 10', 'percent: 50')
  await waitFor(async () => (await canaries()).some(({ percent }) => percent === 50), {
    what: 'the new percentage',
  })
  const after = await seen()
  expect(after.filter((version) => version === '2.0.0').length).toBeGreaterThan(60)
  expect(before.filter((version, i) => version === '2.0.0' && after[i] !== '2.0.0')).toEqual([])
  const { versions } = await gateway.admin<TablesView>('/api/tables')
  expect(versions[0]?.changes).toEqual(['~ canary catalog-v2 (10% -> 50%, variants)'])

  const one = await gateway.admin<CanaryView>('/api/canaries/catalog-v2')
  expect(one).toMatchObject({ name: 'catalog-v2', percent: 50, cookie: 'shop_cid', services: ['catalog'] })
  expect((await fetch(`${gateway.adminUrl}/api/canaries/nobody`)).status).toBe(404)

  const explained = spawnSync(
    SLUICE,
    ['explain', 'GET', 'http://shop/catalog', '-H', 'x-user-id: u-1', '--admin', gateway.adminUrl],
    { encoding: 'utf8' },
  )
  expect(explained.stdout).toMatch(
    /catalog-v2: bucket \d+ of 10000, percent 50% -> \w+ \(key header\.x-user-id\)/,
  )
  expect(explained.stdout).toMatch(/^side +(?:canary|stable) \(catalog-v2\)$/m)
  expect(explained.stdout).toContain('x-canary: catalog-v2=')

  // A file that was not there before.
  writeFileSync(
    join(gateway.folder, 'canary.d/new.yaml'),
    'canaries: [{ name: cart-v3, service: cart, canary: { version: "9.*" } }]',
  )
  await waitFor(async () => (await canaries()).some(({ name }) => name === 'cart-v3'), {
    what: 'the new file',
  })

  edit(gateway, '"2.*"', '2.0')
  const rejection = await waitFor(async () => (await gateway.admin<TablesView>('/api/tables')).rejection, {
    what: 'the mistake to be noticed',
  })
  expect(rejection.message).toContain('quote it: "2.0"')
  expect(await versionOf(gateway, '/catalog', { 'x-user-id': 'alice' })).toBe('2.0.0')

  await services[1]?.stop()
  expect(await versionOf(gateway, '/catalog', { 'x-user-id': 'alice' })).toBe('1.0.0')
  const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
  expect(metrics).toContain('sluice_canary_percent{canary="catalog-v2"} 50')
  expect(metrics).toMatch(/sluice_canary_requests_total\{canary="catalog-v2",side="canary",result="ok"\} \d+/)
  expect(metrics).toMatch(/sluice_canary_empty_total\{canary="catalog-v2",side="canary"\} \d+/)
  expect(gateway.output()).toContain('"canary":"catalog-v2","side":"canary"')
})

test('a file of users is read again when it changes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-users-'))
  later(() => rmSync(folder, { recursive: true }))
  const gateway = await startGateway({
    yaml: `registries: { local: { type: embedded } }
routes: [{ name: catalog, service: catalog, match: { pathPrefix: / } }]
trustedProxies: [127.0.0.1]
canaries:
  - name: v2
    service: catalog
    canary: { version: "2.*" }
    key: [header.x-user-id]
    match: [{ user: { file: testers.txt }, side: canary }]
`,
    prepare: (place) => writeFileSync(join(place, 'testers.txt'), 'u-1\n'),
  })
  later(() => gateway.stop())
  for (const version of ['1.0.0', '2.0.0']) {
    const service = await startService({ registry: gateway.adminUrl, name: 'catalog', version })
    later(() => service.kill9())
  }
  const version = (id: string) => versionOf(gateway, '/', { 'x-user-id': id })
  await waitFor(async () => (await version('u-1')) === '2.0.0' && (await version('u-2')) === '1.0.0')
  writeFileSync(join(gateway.folder, 'testers.txt'), 'u-2\n')
  await waitFor(async () => (await version('u-1')) === '1.0.0' && (await version('u-2')) === '2.0.0')
})
