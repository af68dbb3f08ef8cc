import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { runProgram } from '../../../src/cli/program.ts'
import { configFolder } from '../../support/config.ts'

const ROOT = join(import.meta.dirname, '../../..')
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

/** Runs a command line as a terminal would. */
async function sluice(...args: string[]) {
  const [out, err]: [string[], string[]] = [[], []]
  const code = await runProgram(['node', 'sluice', ...args], {
    env: {},
    hasColor: false,
    out: (text) => void out.push(text),
    err: (text) => void err.push(text),
  })
  return { code, out: out.join('\n'), err: err.join('\n') }
}

function folderOf(files: Record<string, string>): string {
  const { folder, remove } = configFolder(files)
  cleanups.push(remove)
  return folder
}

const GOOD =
  'routes: [{ name: a, match: { hosts: [a.example], pathPrefix: /a }, upstreams: ["http://10.0.0.1:80"] }]'

test('every verb has help', async () => {
  const { out, code } = await sluice('--help')
  expect(code).toBe(0)
  const monitor = ['services', 'instances', 'events']
  for (const verb of [
    'run',
    'demo',
    'check',
    'explain',
    'rollcheck',
    'schema',
    'hash',
    'canary',
    ...monitor,
  ]) {
    expect(out).toContain(verb)
    const help = await sluice(verb, '--help')
    expect([verb, help.code]).toEqual([verb, 0])
    expect(help.out).toContain(`sluice ${verb}`)
    expect(help.out).toContain('--json')
  }
})

test('a wrong word, a missing argument and no word at all are misuse', async () => {
  for (const args of [['chek'], ['explain'], [], ['check', '--colour']]) {
    expect((await sluice(...args)).code).toBe(2)
  }
})

test('check: a good configuration is 0, a wrong one 1, none 2', async () => {
  const good = await sluice('check', folderOf({ 'sluice.yaml': GOOD }))
  expect(good).toMatchObject({ code: 0, err: '' })
  expect(good.out).toContain('0 errors, 0 warnings (1 files, 1 routes, 1 services)')
  const wrong = await sluice('check', folderOf({ 'sluice.yaml': 'limts: {}' }))
  expect(wrong.code).toBe(1)
  expect(wrong.out).toContain('sluice.yaml:2:1  error  unknown key "limts"')
  const none = await sluice('check', '/nowhere')
  expect(none).toMatchObject({ code: 2 })
  expect(none.err).toContain('GW_CONFIG_UNREADABLE')
})

test('check: a shadowed route is a warning with both names, and with --strict a finding', async () => {
  const folder = folderOf({
    'sluice.yaml': `routes:
  - { name: wide, priority: 1, match: { pathPrefix: / }, respond: { status: 200 } }
  - { name: hidden, match: { path: /x }, respond: { status: 200 } }
`,
  })
  const lax = await sluice('check', folder)
  expect(lax.code).toBe(0)
  expect(lax.out).toMatch(/sluice\.yaml:4:5 {2}warning {2}route "hidden" .*"wide"/)
  expect((await sluice('check', folder, '--strict')).code).toBe(1)
})

test('check --json is for tools', async () => {
  const { out, code } = await sluice('check', folderOf({ 'sluice.yaml': 'limts: {}' }), '--json')
  expect(code).toBe(1)
  expect(JSON.parse(out)).toMatchObject({
    valid: false,
    errors: 1,
    problems: [{ line: 2, column: 1, path: 'limts', severity: 'error' }],
  })
})

test('explain by the files: 0 when a route takes it, 1 when none does', async () => {
  const folder = folderOf({ 'sluice.yaml': GOOD })
  const won = await sluice('explain', 'get', 'http://a.example/a/x', '-c', folder)
  expect(won.code).toBe(0)
  expect(won.out).toMatch(/route +a \(.*sluice\.yaml:2:10\)/)
  expect(won.out).toContain('10.0.0.1:80')
  const lost = await sluice('explain', 'GET', 'http://b.example/a/x', '-c', folder)
  expect(lost.code).toBe(1)
  expect(lost.out).toContain('GW_ROUTE_NOT_FOUND')
  const json = await sluice('explain', 'GET', 'http://a.example/a/x', '-c', folder, '--json', '-H', 'x-a: 1')
  expect(JSON.parse(json.out)).toMatchObject({ result: 'route', route: 'a' })
})

test('explain: what is written wrongly is misuse, and says how to write it', async () => {
  const folder = folderOf({ 'sluice.yaml': GOOD })
  const url = await sluice('explain', 'GET', 'a.example/a', '-c', folder)
  expect(url).toMatchObject({ code: 2 })
  expect(url.err).toContain('write http://host/path')
  const header = await sluice('explain', 'GET', 'http://a.example/', '-c', folder, '-H', 'nonsense')
  expect(header.err).toContain('write "name: value"')
})

test('explain without files asks the running gateway, with the token', async () => {
  const seen: string[] = []
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers.authorization}`)
    response.end(
      JSON.stringify({
        result: 'route',
        route: 'r',
        source: 's',
        steps: [],
        candidates: [],
        table: { version: 1, id: 'x' },
      }),
    )
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => server.close())
  const admin = `http://127.0.0.1:${(server.address() as { port: number }).port}`
  const { code, out } = await sluice('explain', 'GET', 'http://a/', '--admin', admin, '--token', 'secret')
  expect(code).toBe(0)
  expect(out).toContain('route')
  expect(seen).toEqual(['POST /api/explain Bearer secret'])
  server.close()
  server.closeAllConnections()
  const gone = await sluice('explain', 'GET', 'http://a/', '--admin', admin)
  expect(gone.code).toBe(2)
  expect(gone.err).toContain(`no gateway answers at ${admin}`)
})

test('schema prints what is in schema/', async () => {
  for (const [args, file] of [
    [[], 'sluice.schema.json'],
    [['--routes'], 'routes.schema.json'],
  ] as const) {
    const { out, code } = await sluice('schema', ...args)
    expect(code).toBe(0)
    expect(JSON.parse(out)).toEqual(JSON.parse(readFileSync(join(ROOT, 'schema', file), 'utf8')))
  }
})

const CANARY = `routes: [{ name: a, match: { pathPrefix: / }, service: catalog }]
registries: { local: { type: embedded } }
canaries:
  - name: v2
    service: catalog
    canary: { version: "2.*" }
    match: [{ name: gold, claim: { tier: gold }, side: canary }]
    percent: 25
`

test('explain says side, bucket, and what goes upstream', async () => {
  const folder = folderOf({ 'sluice.yaml': `version: 1\n${CANARY}` })
  const ask = (...more: string[]) => sluice('explain', 'GET', 'http://x/', '-c', folder, ...more)
  const split = await ask('--claim', 'sub=u1')
  expect(split.out).toMatch(/v2: match gold: condition not met: claim tier$/m)
  expect(split.out).toMatch(/v2: bucket \d+ of 10000, percent 25% -> (?:canary|stable) \(key claim\.sub\)$/m)
  expect(split.out).toMatch(/^sends +x-canary: v2=(?:canary|stable)$/m)
  const pinned = await ask('--claim', 'sub=u1', '--claim', 'tier=gold')
  expect(pinned.out).toMatch(/^side +canary \(v2\)$/m)
  const header = ['-H', 'x-canary: v2=canary', '--claim', 'sub=u-1']
  expect((await ask(...header, '--trusted')).out).toContain('v2: x-canary of a trusted peer -> canary')
  expect((await ask(...header)).out).not.toContain('of a trusted peer')
  const wrong = await ask('--claim', 'sub')
  expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('write "name=value"')])
})

test('check warns of canary rules that look at the same requests, and names the file', async () => {
  const second = 'canaries: [{ name: v3, service: catalog, canary: { version: "3.*" } }]'
  const { code, out } = await sluice(
    'check',
    folderOf({ 'sluice.yaml': `version: 1\n${CANARY}`, 'canary.d/b.yaml': second }),
    '--strict',
  )
  expect(code).toBe(1)
  expect(out).toMatch(
    /canary\.d\/b\.yaml:1:12 {2}warning {2}canary rules "v2" .* "v3" gets only what it leaves/,
  )
  expect(out).toContain('[canary-overlap]')
})

test('schema --canary is that of canary.d', async () => {
  const { out } = await sluice('schema', '--canary')
  expect(JSON.parse(out)).toEqual(JSON.parse(readFileSync(join(ROOT, 'schema/canary.schema.json'), 'utf8')))
})
