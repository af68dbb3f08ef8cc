import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Child, startChild } from '../support/child.ts'
import { freePort } from '../support/ports.ts'
import { waitFor } from '../support/wait.ts'
import { startZooKeeper, type TestZooKeeper } from '../support/zookeeper.ts'

const ROOT = join(import.meta.dirname, '../..')
const NODE_20 = join(ROOT, '.cache/servers/node20/node_modules/node/bin/node')
const SERVICE = join(ROOT, 'test/support/services/plain.mjs')
const WRAPPER = join(ROOT, 'bin/sluice-register')
const APP = join(ROOT, 'examples/any-language/app.py')

let zookeeper: TestZooKeeper
let children: Child[] = []
beforeAll(async () => {
  zookeeper = await startZooKeeper()
})
afterAll(() => zookeeper.stop())
afterEach(async () => {
  for (const child of children) await child.end()
  children = []
})

const records = async (service: string) => {
  const ids = (await zookeeper.client.getChildren(`/services/${service}`)) ?? []
  const found = await Promise.all(ids.map((id) => zookeeper.client.getData(`/services/${service}/${id}`)))
  return found.flatMap((one) => {
    if (one === undefined) return []
    const { address, port, payload } = JSON.parse(one.data.toString('utf8'))
    const { version, state, 'state-output': output } = payload.metadata as Record<string, string>
    return [{ url: `http://${address}:${port}`, version, state, output }]
  })
}

function start(command: string, args: readonly string[], env: Record<string, string> = {}): Child {
  const child = startChild(command, args, {
    SLUICE_REGISTER_AUTH: 'service:secret',
    SLUICE_REGISTER_PROPAGATION: '500ms',
    SLUICE_REGISTER_BUDGET: '4s',
    ...env,
  })
  children.push(child)
  return child
}

const registered = (service: string, child: Child) =>
  waitFor(async () => (await records(service)).find(({ state }) => state === 'passing'), {
    timeoutMs: 20_000,
    what: `${service} to be registered: ${child.output()}`,
  })

test('on Node 20: registers, and drains on SIGTERM without losing what is under way', async () => {
  const env = {
    SLUICE_REGISTER_REGISTRY: 'zookeeper',
    SLUICE_REGISTER_SERVERS: zookeeper.server,
    VERSION: '7',
  }
  const child = start(NODE_20, [SERVICE], env)
  const { url, version } = await registered('plain', child)
  expect(version).toBe('7')
  const slow = fetch(`${url}/?ms=1500`)
  await new Promise((resolve) => setTimeout(resolve, 100))
  child.signal('SIGTERM')
  await waitFor(async () => (await records('plain'))[0]?.output === 'draining: SIGTERM')
  expect((await fetch(url)).status, 'it serves on after the mark').toBe(200)
  expect(await (await slow).text()).toMatch(/^node 20\./)
  expect(await child.exited).toBe(0)
  expect(await records('plain')).toEqual([])
})

test('an exception that nobody catches takes it out, and ends it as it would have', async () => {
  const env = { SLUICE_REGISTER_REGISTRY: 'zookeeper', SLUICE_REGISTER_SERVERS: zookeeper.server }
  const child = start(process.execPath, [SERVICE], env)
  const { url } = await registered('plain', child)
  await fetch(`${url}/crash`).catch(() => {})
  expect(await child.exited).toBe(1)
  expect(await records('plain')).toEqual([])
})

test('kill -9: nobody says anything, and the session ends by itself', async () => {
  const env = { SLUICE_REGISTER_REGISTRY: 'zookeeper', SLUICE_REGISTER_SERVERS: zookeeper.server }
  const child = start(process.execPath, [SERVICE], env)
  await registered('plain', child)
  child.signal('SIGKILL')
  await child.exited
  expect(await records('plain')).toHaveLength(1)
  await waitFor(async () => (await records('plain')).length === 0, {
    timeoutMs: 20_000,
    what: 'the end of the session of 3 s',
  })
})

test('sluice-register with ZooKeeper: registered, marked, ended, out', async () => {
  const port = await freePort()
  const target = [
    '--registry',
    'zookeeper',
    '--endpoint',
    zookeeper.server,
    '--service',
    'snake',
    '--port',
    `${port}`,
  ]
  const child = start(WRAPPER, [...target, '--health', '/', '--', 'python3', APP, `${port}`])
  const { url, output } = await registered('snake', child)
  expect(url).toBe(`http://127.0.0.1:${port}`)
  expect(output).toContain('answered 200')
  child.signal('SIGTERM')
  await waitFor(async () => (await records('snake'))[0]?.state === 'draining')
  expect(await child.exited).toBe(0)
  expect(await records('snake')).toEqual([])
})

test.each([
  [['--registry', 'zookeeper', '--endpoint', 'http://10.0.0.5:2181'], 'write 10.0.0.5:2181'],
  [['--registry', 'zookeeper', '--prefix', 'services'], 'write /services'],
])('sluice-register %j is misuse', async (args, words) => {
  const child = start(WRAPPER, ['--service', 'x', '--port', '1', ...args, '--', 'true'])
  expect(await child.exited).toBe(2)
  expect(child.output()).toContain(words)
})
