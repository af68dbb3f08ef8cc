import { expect, test } from 'vitest'
import { load as loadFiles, problemsOf as problemsOfFiles } from '../../support/config.ts'

const load = async (yaml: string, env: Record<string, string> = {}) =>
  (await loadFiles({ 'sluice.yaml': yaml }, env)).static.registries['main']
const problemsOf = (yaml: string) => problemsOfFiles({ 'sluice.yaml': yaml })

const registry = (own: string) => `registries:\n  main:\n    type: etcd\n${own.replace(/^(?=.)/gm, '    ')}\n`

test('the defaults, and paths relative to the file', async () => {
  const main = await load(
    registry(
      'username: gw\npasswordFile: secret\ntls: { ca: ca.pem, verify: true }\nendpoints: [https://a:2379]',
    ),
  )
  expect(main).toEqual({
    type: 'etcd',
    endpoints: ['https://a:2379'],
    layout: 'sluice',
    username: 'gw',
    passwordFile: expect.stringMatching(/^\/.*\/secret$/),
    tls: { ca: expect.stringMatching(/^\/.*\/ca\.pem$/), verify: true },
    probeInterval: 10_000,
    include: [],
    exclude: [],
    forbidAddresses: [],
  })
})

test('etcd’s own variables say what the file does not', async () => {
  const env = {
    ETCDCTL_ENDPOINTS: '10.0.0.1:2379, https://10.0.0.2:2379',
    ETCDCTL_USER: 'gw:p:w',
    ETCDCTL_CACERT: '/ca.pem',
  }
  const main = await load(registry(''), env)
  expect(main).toMatchObject({
    endpoints: ['http://10.0.0.1:2379', 'https://10.0.0.2:2379'],
    username: 'gw',
    password: 'p:w',
    tls: { ca: '/ca.pem' },
  })
  const own = await load(registry('username: other\npassword: x\nendpoints: [http://a:1]'), {
    ...env,
    ETCDCTL_CACERT: '',
  })
  expect(own).toMatchObject({
    endpoints: ['http://a:1'],
    username: 'other',
    password: 'x',
  })
  const none = await load(registry(''))
  expect(none).toMatchObject({ endpoints: ['http://127.0.0.1:2379'] })
})

test.each([
  ['endpoints: [10.0.0.1:2379]', 'endpoints[0]', 'write http://10.0.0.1:2379'],
  ['endpoints: ["http://me:secret@a:2379"]', 'endpoints[0]', 'the user goes to username'],
  ['endpoints: []', 'endpoints', ''],
  ['layout: micro', 'layout', 'sluice, go-micro'],
  ['password: x', 'username', 'give the user'],
  ['probeInterval: 10ms', 'probeInterval', '500ms or more'],
  ['endpoints: [http://a:1]\ntls: { ca: x }', 'endpoints', 'write https://'],
  ['layout: { key: "/a/{name}/{id}", address: $ }', 'layout.key', 'use {service} and {id}'],
  ['layout: { key: "/a/{service}/{service}", address: $ }', 'layout.key', 'once each'],
  ['layout: { key: "{service}/{id}", address: $ }', 'layout.key', 'write e.g. /apps'],
  ['layout: { key: "/a/{service}{id}", address: $ }', 'layout.key', 'write e.g. /apps'],
  ['layout: { key: "/a/{id}", address: $ }', 'layout.key', 'give service: $.name'],
  ['layout: { key: "/a/{service}" }', 'layout.address', 'give address: $.host'],
  ['layout: { key: "/a/{service}", url: $.u, port: $.p }', 'layout.url', 'give one of them'],
  ['layout: { key: "/a/{service}", url: "$.u[*]" }', 'layout.url', 'a path to one value'],
  ['layout: { key: "/a/{service}", address: $.a, prot: $.b }', 'layout.prot', 'port'],
  ['layout: { key: "/a/{service}", address: $ }\nprefix: /b', 'prefix', 'put it into layout.key'],
])('%j is refused at %s', async (own, path, fix) => {
  const found = (await problemsOf(registry(own))).map((problem) => `${problem.path}; ${problem.fix}`)
  expect(found.join('\n')).toContain(`registries.main.${path};`)
  expect(found.join('\n')).toContain(fix)
  expect(found.join('\n')).not.toContain('secret')
})

test('the gateway can only register where registrations are taken', async () => {
  const own = `${registry('')}  files: { type: file, path: x }\nself: { registry: `
  expect(await problemsOf(`${own}main }`)).toEqual([])
  for (const name of ['files', 'none-such']) {
    const [problem] = await problemsOf(`${own}${name} }`)
    expect(problem).toMatchObject({ path: 'self.registry', fix: 'write one of main' })
  }
  const [micro] = await problemsOf(`${registry('layout: go-micro')}self: { registry: main }`)
  expect(micro?.fix).toContain('define one of type consul, etcd with the own layout')
})
