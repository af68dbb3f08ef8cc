import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ReadinessView, TablesView } from '../../src/core/views.ts'
import { useCleanups } from '../support/cleanup.ts'
import {
  answering,
  configurationOf,
  type PushFolder,
  pushFolder,
  type StoreServer,
  sluice,
  startConsulStore,
  startEtcdStore,
} from '../support/config-store.ts'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { startLoad } from '../support/load.ts'
import { waitFor } from '../support/wait.ts'

const { later, opened } = useCleanups()
const PREFIX = 'sluice/config/'

describe.each([
  ['consul', startConsulStore],
  ['etcd', startEtcdStore],
] as const)('configuration in %s', (_, start) => {
  let server: StoreServer
  beforeAll(async () => {
    server = await start()
  })
  afterAll(() => server.stop())
  beforeEach(async () => {
    for (const { key } of await server.keys(PREFIX)) await server.remove(key)
  })

  const folderOf = (files: Readonly<Record<string, string>>): Promise<PushFolder> => opened(pushFolder(files))
  const push = (folder: PushFolder, ...args: string[]) =>
    sluice(['push', folder.path, '--store', server.url, ...args])

  async function gatewayWith(
    own: { yaml?: string; routes?: Record<string, string>; waitReady?: boolean } = {},
  ): Promise<GatewayProcess> {
    const gateway = await startGateway({
      ...own,
      yaml: `${server.registries}\nconfiguration: { store: main${own.yaml ?? ''} }`,
    })
    later(() => {
      gateway.signal('SIGKILL')
      return gateway.exited()
    })
    return gateway
  }

  const bodyOf = async (gateway: GatewayProcess, path = '/') => (await fetch(gateway.publicUrl + path)).text()
  const serves = (gateway: GatewayProcess, text: string, path = '/') =>
    waitFor(async () => (await bodyOf(gateway, path)) === text, {
      timeoutMs: 30_000,
      what: `"${text}" to be served`,
    })
  const warningsOf = async (gateway: GatewayProcess) =>
    (await gateway.admin<ReadinessView>('/health/ready')).warnings.join('\n')

  test('what is pushed is routed, and the tables, metrics and history name the revision', async () => {
    const gateway = await gatewayWith()
    await waitFor(async () => (await warningsOf(gateway)).includes('nothing was pushed'))
    const folder = await folderOf({ 'routes.d/shop.yaml': answering('shop', 'one') })
    expect(await push(folder, '-m', 'first shop')).toMatchObject({ code: 0 })
    await serves(gateway, 'one')
    folder.write('routes.d/shop.yaml', answering('shop', 'two'))
    const begun = performance.now()
    const pushed = await push(folder, '-m', 'second', '--admin', gateway.adminUrl)
    expect(pushed).toMatchObject({ code: 0 })
    expect(pushed.out).toContain('~ routes.d/shop.yaml')
    expect(pushed.out).toContain('~ route shop')
    expect(pushed.out).toContain('in force at')
    expect(await bodyOf(gateway)).toBe('two')
    console.log(
      `${server.name}: check, preview, push and taken in ${Math.round(performance.now() - begun)} ms`,
    )
    const { versions, configuration } = await gateway.admin<TablesView>('/api/tables')
    expect(versions[0]?.cause).toMatch(/^revision 2 by ann@.*: second$/)
    expect(configuration).toMatchObject({ state: 'live', from: 'store', revision: { revision: 2, files: 1 } })
    const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
    expect(metrics).toContain('sluice_config_revision{store="main"} 2')
    const { out } = await sluice(['history', '--store', server.url])
    expect(out.split('\n')).toEqual([
      expect.stringMatching(/^\* +2 .*second$/),
      expect.stringMatching(/^ *1 .*first shop$/),
    ])
    expect(await warningsOf(gateway)).not.toContain('configuration')
  })

  test('a push that is not valid is refused before anything is written', async () => {
    const folder = await folderOf({
      'routes.d/shop.yaml':
        'routes:\n  - name: shop\n    match: { pathPrefx: / }\n    respond: { status: 200 }\n',
    })
    const outcome = await push(folder)
    expect(outcome.code).toBe(1)
    expect(outcome.err).toContain('routes.d/shop.yaml:3:14  error  unknown key "pathPrefx"')
    expect(await server.keys(PREFIX)).toEqual([])
    const nothing = await folderOf({})
    expect(await push(nothing)).toMatchObject({ code: 2 })
    const spaced = await folderOf({ 'routes.d/my shop.yaml': answering('shop', 'x') })
    expect(await push(spaced)).toMatchObject({ code: 1 })
    const large = await folderOf({ 'routes.d/a.yaml': `# ${'x'.repeat(600_000)}\n${answering('shop', 'x')}` })
    expect((await push(large)).err).toContain('split it into several files')
    const file = await folderOf({ 'routes.d/a.yaml': answering('shop', '${FILE:/etc/hostname}') })
    expect((await push(file)).err).toContain('files of a gateway may not be named in the store')
    expect(await server.keys(PREFIX)).toEqual([])
  })

  test('what was written by hand is rejected with the key, and the last good revision serves on', async () => {
    const gateway = await gatewayWith()
    const folder = await folderOf({ 'routes.d/shop.yaml': answering('shop', 'good') })
    await push(folder)
    await serves(gateway, 'good')
    const [file] = (await server.keys(`${PREFIX}trees/`)).filter(({ key }) => key.endsWith('shop.yaml'))
    await server.put(file?.key ?? '', answering('shop', 'bad'))
    await waitFor(async () => (await configurationOf(gateway)).state === 'rejected')
    expect((await configurationOf(gateway)).reason).toContain(`key ${file?.key} was changed by hand`)
    expect(await warningsOf(gateway)).toContain(file?.key)
    expect(await bodyOf(gateway)).toBe('good')
    await server.put(file?.key ?? '', file?.value ?? '')
    await waitFor(async () => (await configurationOf(gateway)).state === 'live')
    await server.put(`${PREFIX}current`, 'no json')
    await waitFor(async () =>
      (await configurationOf(gateway)).reason?.includes(`${PREFIX}current is not readable`),
    )
    expect(await bodyOf(gateway)).toBe('good')
    const blind = await push(folder)
    expect(blind.code).toBe(2)
    expect(blind.err).toContain(`${PREFIX}current is not readable`)
  })

  test('a revision that this gateway cannot take is rejected with file, line and key; mending its own files takes it', async () => {
    const gateway = await gatewayWith({ routes: { 'own.yaml': answering('shop', 'own') } })
    const folder = await folderOf({ 'routes.d/shop.yaml': answering('shop', 'stored') })
    const outcome = await push(folder, '--admin', gateway.adminUrl)
    expect(outcome.code).toBe(1)
    expect(outcome.err).toContain('route "shop" exists already at')
    expect(await push(folder)).toMatchObject({ code: 0 })
    await waitFor(async () => (await configurationOf(gateway)).rejected?.revision === 1)
    const { rejected } = await configurationOf(gateway)
    expect(rejected?.message).toMatch(/kv:routes\.d\/shop\.yaml:1:\d+ .*exists already at .*own\.yaml:1/)
    expect(await bodyOf(gateway)).toBe('own')
    gateway.writeRoutes('own.yaml', answering('other', 'own', '/other'))
    await serves(gateway, 'stored')
    expect(await bodyOf(gateway, '/other')).toBe('own')
    expect((await configurationOf(gateway)).state).toBe('live')
  })

  test('of two pushes at once one wins, and the other is told who was faster', async () => {
    const [a, b] = [
      await folderOf({ 'routes.d/shop.yaml': answering('shop', 'a') }),
      await folderOf({ 'routes.d/shop.yaml': answering('shop', 'b') }),
    ]
    const both = await Promise.all([push(a, '--by', 'ann'), push(b, '--by', 'bob')])
    expect(both.map(({ code }) => code).sort()).toEqual([0, 1])
    const [winner, loser] = both[0]?.code === 0 ? ['ann', both[1]] : ['bob', both[0]]
    expect(loser?.err).toContain(`revision 1 by ${winner}`)
    expect((await sluice(['history', '--store', server.url])).out).toContain(winner)
    // What the loser wrote is away again.
    expect((await server.keys(`${PREFIX}trees/`)).length).toBe(2)
  })

  test('a folder that was pulled does not undo what others pushed since', async () => {
    const first = await folderOf({ 'routes.d/shop.yaml': answering('shop', 'one') })
    await push(first)
    const other = await folderOf({})
    expect(await sluice(['pull', other.path, '--store', server.url])).toMatchObject({ code: 0 })
    expect(other.read('routes.d/shop.yaml')).toBe(answering('shop', 'one'))
    first.write('routes.d/more.yaml', answering('more', 'more', '/more'))
    await push(first, '--by', 'ann')
    other.write('routes.d/shop.yaml', answering('shop', 'two'))
    const late = await push(other)
    expect(late.code).toBe(1)
    expect(late.err).toContain('revision 2 by ann')
    const diff = await sluice(['diff', other.path, '--store', server.url])
    expect(diff).toMatchObject({ code: 1 })
    expect(diff.out).toContain('- routes.d/more.yaml')
    const refused = await sluice(['pull', other.path, '--store', server.url])
    expect(refused).toMatchObject({ code: 1 })
    expect(other.read('routes.d/shop.yaml')).toBe(answering('shop', 'two'))
    expect(await push(other, '--base', '2')).toMatchObject({ code: 0 })
    expect(await sluice(['diff', other.path, '--store', server.url])).toMatchObject({ code: 0 })
  })

  test('a rollback brings the files of an earlier revision back, as a revision of its own', async () => {
    const gateway = await gatewayWith()
    const folder = await folderOf({ 'routes.d/shop.yaml': answering('shop', 'one') })
    await push(folder)
    folder.write('routes.d/shop.yaml', answering('shop', 'two'))
    await push(folder)
    await serves(gateway, 'two')
    const back = await sluice(['rollback', '1', '--store', server.url, '-m', 'two is bad'])
    expect(back).toMatchObject({ code: 0 })
    await serves(gateway, 'one')
    expect((await configurationOf(gateway)).revision).toMatchObject({ revision: 3, restores: 1 })
    expect(await sluice(['rollback', '7', '--store', server.url])).toMatchObject({ code: 2 })
  })

  test('without its store a gateway starts with the last good revision, or with its files; wiped, it keeps what it has', async () => {
    const disk = mkdtempSync(join(tmpdir(), 'sluice-cache-'))
    later(() => rmSync(disk, { recursive: true, force: true }))
    const cache = join(disk, 'configuration.json')
    // Ready it is only once the registry, the same server, was heard of; it serves before.
    const waitReady = false
    const routes = { 'own.yaml': answering('own', 'own', '/own') }
    const options = { yaml: `, cache: "${cache}"`, routes, waitReady }
    const before = await gatewayWith(options)
    const folder = await folderOf({ 'routes.d/shop.yaml': answering('shop', 'kept') })
    await push(folder)
    await serves(before, 'kept')
    await waitFor(() => existsSync(cache))
    before.signal('SIGKILL')
    await before.exited()
    await server.kill9()
    const cached = await gatewayWith(options)
    await serves(cached, 'kept')
    expect(await configurationOf(cached)).toMatchObject({ from: 'cache', revision: { revision: 1 } })
    const bare = await gatewayWith({ routes, waitReady })
    await serves(bare, 'own', '/own')
    await waitFor(async () => (await warningsOf(bare)).includes('configuration store main is failed'))
    const strict = await gatewayWith({ yaml: ', required: true', waitReady })
    await waitFor(async () =>
      (await strict.admin<ReadinessView>('/health/ready')).reasons.some((text) => text.includes('required')),
    )
    await server.restart({ wipe: true })
    await waitFor(async () => (await configurationOf(cached)).state === 'empty', { timeoutMs: 20_000 })
    expect(await warningsOf(cached)).toContain('revision 1 serves on')
    expect(await bodyOf(cached)).toBe('kept')
    folder.write('routes.d/shop.yaml', answering('shop', 'anew'))
    expect(await push(folder, '--base', '0')).toMatchObject({ code: 0 })
    for (const gateway of [cached, bare, strict]) await serves(gateway, 'anew')
    await waitFor(async () => (await fetch(`${strict.adminUrl}/health/ready`)).ok)
  }, 90_000)

  test('20 pushes under 200 requests a second: none fails, and the oldest revisions go', async () => {
    const folder = await folderOf({ 'routes.d/shop.yaml': answering('shop', 'r0') })
    await push(folder)
    const gateway = await gatewayWith()
    const load = startLoad({ requests: [{ method: 'GET', url: gateway.publicUrl }], rps: 200, maxMs: 60_000 })
    const times: number[] = []
    for (let n = 1; n <= 20; n++) {
      folder.write('routes.d/shop.yaml', answering('shop', `r${n}`))
      expect(await push(folder)).toMatchObject({ code: 0 })
      const begun = performance.now()
      await serves(gateway, `r${n}`)
      times.push(performance.now() - begun)
    }
    const report = await load.stop()
    times.sort((a, b) => a - b)
    const [p50, max] = [times[10], times.at(-1)].map((ms) => Math.round(ms ?? 0))
    console.log(
      `${server.name}: ${report.sent} requests, ${report.failures.length} failed; push → routed p50 ${p50} ms, max ${max} ms`,
    )
    expect(report.failures).toEqual([])
    expect(report.sent).toBeGreaterThan(200)
    const hashes = new Set((await server.keys(`${PREFIX}trees/`)).map(({ key }) => key.split('/')[3]))
    expect(hashes.size).toBe(20)
  }, 90_000)
})
