import { expect, test } from 'vitest'
import { load as loadFiles, problemsOf as problemsOfFiles } from '../../support/config.ts'

const load = async (yaml: string, env: Record<string, string> = {}) =>
  (await loadFiles({ 'sluice.yaml': yaml }, env)).static.registries['main']
const problemsOf = (yaml: string) => problemsOfFiles({ 'sluice.yaml': yaml })

const registry = (own: string) =>
  `registries:\n  main:\n    type: zookeeper\n${own.replace(/^(?=.)/gm, '    ')}\n`

test('the defaults', async () => {
  expect(await load(registry(''))).toEqual({
    type: 'zookeeper',
    servers: ['127.0.0.1:2181'],
    layout: 'curator',
    sessionTimeout: 15_000,
    sweepInterval: 60_000,
    protocols: ['tri', 'rest'],
    include: [],
    exclude: [],
    forbidAddresses: [],
  })
})

test('everything that can be said; a password from the environment, paths relative to the file', async () => {
  const own = [
    'servers: ["zk1:2181", "[fd00::1]:2181", zk3]',
    'layout: dubbo',
    'base: /my/dubbo',
    'auth: "gw:${ENV:ZK_PASSWORD}"',
    'sessionTimeout: 6s',
    'protocols: [rest]',
    'tls: { ca: ca.pem }',
  ]
  expect(await load(registry(own.join('\n')), { ZK_PASSWORD: 'p:w' })).toMatchObject({
    servers: ['zk1:2181', '[fd00::1]:2181', 'zk3'],
    layout: 'dubbo',
    base: '/my/dubbo',
    auth: 'gw:p:w',
    sessionTimeout: 6000,
    protocols: ['rest'],
    tls: { ca: expect.stringMatching(/^\/.*\/ca\.pem$/) },
  })
})

test.each([
  ['servers: []', 'servers', ''],
  ['servers: [zk1:2181/chroot]', 'servers[0]', 'a path behind it goes to base'],
  ['servers: ["zk1:2181,zk2:2181"]', 'servers[0]', 'in each line'],
  ['servers: ["zk1:0"]', 'servers[0]', 'host:port'],
  ['servers: ["zk1:70000"]', 'servers[0]', 'host:port'],
  ['base: services', 'base', 'write /services'],
  ['base: /services/', 'base', 'none at the end'],
  ['base: /a//b', 'base', 'write /services'],
  ['base: /a/../b', 'base', 'write /services'],
  ['auth: secret', 'auth', 'user:password'],
  ['layout: eureka', 'layout', 'curator'],
  ['protocols: [dubbo]', 'protocols[0]', 'tri'],
  ['protocols: []', 'protocols', ''],
  ['sessionTimeout: 100ms', 'sessionTimeout', '1s or more'],
  ['sweepInterval: 10ms', 'sweepInterval', '500ms or more'],
  ['server: zk1', 'server', 'servers'],
])('%j is refused at %s', async (own, path, fix) => {
  const found = (await problemsOf(registry(own))).map((problem) => `${problem.path}; ${problem.fix}`)
  expect(found.join('\n')).toContain(`registries.main.${path};`)
  expect(found.join('\n')).toContain(fix)
  expect(found.join('\n')).not.toContain('secret')
})

test('the gateway registers itself in Curator’s layout, in no other', async () => {
  expect(await problemsOf(`${registry('')}self: { registry: main }`)).toEqual([])
  const [dubbo] = await problemsOf(`${registry('layout: dubbo')}self: { registry: main }`)
  expect(dubbo).toMatchObject({ path: 'self.registry' })
})
