import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { Agent, get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Child, startChild } from '../support/child.ts'
import { startConsul, type TestConsul } from '../support/consul.ts'
import { freePort } from '../support/ports.ts'
import { waitFor } from '../support/wait.ts'

const ROOT = join(import.meta.dirname, '../..')
const NODE_20 = join(ROOT, '.cache/servers/node20/node_modules/node/bin/node')
const SERVICES = join(ROOT, 'test/support/services')
const WRAPPER = join(ROOT, 'bin/sluice-register')
const APP = join(ROOT, 'examples/any-language/app.py')

interface Entry {
  Service: { ID: string; Port: number; Meta: Record<string, string> }
  Checks: { CheckID: string; Status: string; Output: string; Notes: string }[]
}

let consul: TestConsul
let children: Child[] = []
beforeAll(async () => {
  consul = await startConsul()
})
afterAll(() => consul.stop())
afterEach(async () => {
  for (const child of children) await child.end()
  children = []
})

const entries = (service: string) => consul.get<Entry[]>(`/v1/health/service/${service}`)
const passing = (service: string) => consul.get<Entry[]>(`/v1/health/service/${service}?passing`)

function start(command: string, args: readonly string[], env: Record<string, string> = {}): Child {
  const child = startChild(command, args, { CONSUL_HTTP_ADDR: consul.url, ...env })
  children.push(child)
  return child
}

/** Until Consul has it as passing. */
async function registered(service: string, child: Child): Promise<Entry> {
  const found = await waitFor(async () => (await passing(service))[0], {
    timeoutMs: 20_000,
    what: `${service} to be registered: ${child.output()}`,
  })
  return found
}

const isMarked = (entry: Entry | undefined) =>
  entry?.Checks.some(({ Notes, CheckID }) => CheckID.startsWith('_service') && Notes.startsWith('draining'))

function ask(url: string, agent?: Agent): Promise<IncomingMessage & { text: string }> {
  return new Promise((resolve, reject) => {
    get(url, { ...(agent === undefined ? {} : { agent }) }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => resolve(Object.assign(response, { text })))
      response.on('error', reject)
    }).on('error', reject)
  })
}

describe('a service with the library', () => {
  test('on Node 20: registers, and drains on SIGTERM without losing what is under way', async () => {
    expect(existsSync(NODE_20), 'npm run servers installs it').toBe(true)
    const child = start(NODE_20, [join(SERVICES, 'plain.mjs')], {
      VERSION: '7',
      SLUICE_REGISTER_PROPAGATION: '1s',
      SLUICE_REGISTER_BUDGET: '5s',
    })
    const { Service } = await registered('plain', child)
    expect(Service.Meta['version']).toBe('7')
    const url = `http://127.0.0.1:${Service.Port}`
    const agent = new Agent({ keepAlive: true })
    const first = await ask(`${url}/`, agent)
    expect(first.text).toMatch(/^node 20\./)
    expect(first.headers.connection).toBe('keep-alive')

    const slow = ask(`${url}/?ms=2000`, agent)
    const begun = performance.now()
    child.signal('SIGTERM')
    await waitFor(async () => isMarked((await entries('plain'))[0]), { what: 'the drain mark' })
    const marked = performance.now() - begun
    const late = await ask(`${url}/`)
    expect(late.statusCode, 'it serves on after the mark').toBe(200)
    expect(late.headers.connection).toBe('close')
    const slowAnswer = await slow
    expect(slowAnswer.statusCode).toBe(200)
    expect(slowAnswer.headers.connection).toBe('close')
    expect(await child.exited).toBe(0)
    expect(marked, 'the mark is the first thing').toBeLessThan(900)
    expect(await entries('plain')).toEqual([])
    agent.destroy()
  })

  test('Fastify: its own close hooks run, exit code 0', async () => {
    const child = start(process.execPath, [join(SERVICES, 'fastify.mjs')], {
      SLUICE_REGISTER_PROPAGATION: '200ms',
    })
    const { Service } = await registered('fastify', child)
    child.signal('SIGTERM')
    await waitFor(async () => isMarked((await entries('fastify'))[0]))
    expect((await ask(`http://127.0.0.1:${Service.Port}/`)).text).toBe('{"ok":true}')
    expect(await child.exited).toBe(0)
    expect(child.output()).toContain('onClose ran')
    expect(await entries('fastify')).toEqual([])
  })

  test('an exception that nobody catches takes it out of the registry and ends it as it would have', async () => {
    const child = start(process.execPath, [join(SERVICES, 'plain.mjs')])
    const { Service } = await registered('plain', child)
    await ask(`http://127.0.0.1:${Service.Port}/crash`).catch(() => {})
    expect(await child.exited).toBe(1)
    expect(child.output()).toContain('TypeError: a bug')
    expect(await entries('plain')).toEqual([])
  })

  test('a second signal ends it at once', async () => {
    const child = start(process.execPath, [join(SERVICES, 'plain.mjs')])
    await registered('plain', child)
    child.signal('SIGTERM')
    await waitFor(async () => isMarked((await entries('plain'))[0]))
    child.signal('SIGTERM')
    expect(await child.exited).toBe(1)
    for (const { Service } of await entries('plain')) await consul.deregister(Service.ID)
  })

  test('SLUICE_REGISTER_ENABLED=false: it registers nowhere and drains all the same', async () => {
    const child = start(process.execPath, [join(SERVICES, 'plain.mjs')], {
      SLUICE_REGISTER_ENABLED: 'false',
      SLUICE_REGISTER_PROPAGATION: '100ms',
    })
    await waitFor(() => child.output().includes('listens on'))
    child.signal('SIGTERM')
    expect(await child.exited).toBe(0)
    expect(await entries('plain')).toEqual([])
  })

  test('an agent that is not there neither blocks nor ends it', async () => {
    const child = start(process.execPath, [join(SERVICES, 'plain.mjs')], {
      CONSUL_HTTP_ADDR: 'http://127.0.0.1:1',
      SLUICE_REGISTER_PROPAGATION: '100ms',
    })
    await waitFor(() => child.output().includes('GW_REGISTRY_UNREACHABLE'))
    const port = /listens on (\d+)/.exec(child.output())?.[1]
    expect((await ask(`http://127.0.0.1:${port}/`)).statusCode).toBe(200)
    child.signal('SIGTERM')
    expect(await child.exited).toBe(0)
  })
})

describe('sluice-register', () => {
  const FAST = { SLUICE_REGISTER_PROPAGATION: '300ms', SLUICE_REGISTER_BUDGET: '3s' }

  test('a Python program is registered once its port is open, marked, ended, and leaves with 0', async () => {
    const port = await freePort()
    const child = start(
      WRAPPER,
      [
        '--service',
        'snake',
        '--port',
        `${port}`,
        '--address',
        '127.0.0.1',
        '--health',
        '/',
        '--',
        'python3',
        APP,
        `${port}`,
      ],
      FAST,
    )
    const { Checks } = await registered('snake', child)
    expect(Checks.find(({ CheckID }) => CheckID.startsWith('service:'))?.Output).toContain('answered 200')
    child.signal('SIGTERM')
    await waitFor(async () => isMarked((await entries('snake'))[0]))
    expect((await ask(`http://127.0.0.1:${port}/x`)).text).toBe('python /x\n')
    expect(await child.exited, child.output()).toBe(0)
    expect(await entries('snake')).toEqual([])
    await expect(ask(`http://127.0.0.1:${port}/`)).rejects.toThrow()
  })

  test('a command that ends by itself is taken out at once; its exit code is the one that counts', async () => {
    const port = await freePort()
    const program = `require('http').createServer((q, s) => { s.end('x'); setTimeout(() => process.exit(7), 50) }).listen(${port}, '127.0.0.1')`
    const child = start(WRAPPER, [
      '--service',
      'short',
      '--port',
      `${port}`,
      '--address',
      '127.0.0.1',
      '--',
      process.execPath,
      '-e',
      program,
    ])
    await registered('short', child)
    await ask(`http://127.0.0.1:${port}/`)
    expect(await child.exited).toBe(7)
    expect(await entries('short')).toEqual([])
  })

  test('a command that does not end is killed at the end of the budget, with all that it started', async () => {
    const port = await freePort()
    const program = `process.on('SIGTERM', () => {}); require('http').createServer((q, s) => s.end()).listen(${port}, '127.0.0.1')`
    const shell = `trap '' TERM; "${process.execPath}" -e "$PROGRAM" & wait; wait`
    const child = start(
      WRAPPER,
      ['--service', 'stubborn', '--port', `${port}`, '--address', '127.0.0.1', '--', 'sh', '-c', shell],
      { ...FAST, PROGRAM: program, SLUICE_REGISTER_BUDGET: '1500ms' },
    )
    await registered('stubborn', child)
    child.signal('SIGTERM')
    expect(await child.exited).toBe(137)
    expect(await entries('stubborn')).toEqual([])
    await expect(ask(`http://127.0.0.1:${port}/`)).rejects.toThrow()
  })

  test('misuse and a command that cannot be started have exit codes of their own', async () => {
    const misuse = start(WRAPPER, ['--service', 'x'])
    expect(await misuse.exited).toBe(2)
    expect(misuse.output()).toContain('write it behind --')
    const missing = start(WRAPPER, ['--service', 'x', '--port', '9', '--', '/no/such/program'])
    expect(await missing.exited).toBe(127)
  })

  test('as the first process of a container it passes SIGTERM on and reaps orphans', async () => {
    const port = await freePort()
    // The orphan's parent ends at once, so the orphan falls to process 1.
    const app = `(sleep 0.2 &) ; exec python3 ${APP} ${port}`
    const own = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
    const wrapped = [
      WRAPPER,
      '--service',
      'boxed',
      '--port',
      `${port}`,
      '--address',
      '127.0.0.1',
      '--',
      'sh',
      '-c',
      app,
    ]
    const child = start(
      'unshare',
      [...own, '--pid', '--fork', '--mount-proc', '--kill-child', ...wrapped],
      FAST,
    )
    await registered('boxed', child)
    const init = await waitFor(() => childOf(child.pid), { what: 'process 1 of the container' })
    await waitFor(() => !statesBelow(init).includes('Z') && !namesBelow(init).includes('sleep'), {
      what: 'no orphan and no zombie',
    })
    process.kill(init, 'SIGTERM')
    expect(await child.exited, child.output()).toBe(0)
    expect(await entries('boxed')).toEqual([])
  })
})

describe('the start script in plain shell', () => {
  const script = join(ROOT, 'examples/any-language/start.sh')
  const env = {
    SERVICE: 'shell',
    VERSION: '3',
    HOST_IP: '127.0.0.1',
    TTL: '3',
    PROPAGATION: '1',
    BUDGET: '6',
  }

  test.each([
    ['the application itself', (port: number) => ['python3', APP, `${port}`], ''],
    [
      'an application behind a launcher that passes no signal on',
      (port: number) => ['sh', '-c', `trap '' TERM; python3 ${APP} ${port}; exit 0`],
      'app.py',
    ],
  ])('registers and drains %s', async (_what, command, pattern) => {
    const port = await freePort()
    const child = start(script, command(port), { ...env, PORT: `${port}`, APP_PATTERN: pattern })
    const { Service } = await registered('shell', child)
    expect(Service).toMatchObject({ Port: port, Meta: { version: '3' } })
    child.signal('SIGTERM')
    await waitFor(async () => isMarked((await entries('shell'))[0]))
    expect((await ask(`http://127.0.0.1:${port}/y`)).text).toBe('python /y\n')
    expect(await child.exited, child.output()).toBe(0)
    expect(await entries('shell')).toEqual([])
    await expect(ask(`http://127.0.0.1:${port}/`)).rejects.toThrow()
  })

  test('an agent that lost its data is told again', async () => {
    const port = await freePort()
    const child = start(script, ['python3', APP, `${port}`], { ...env, PORT: `${port}` })
    await registered('shell', child)
    await consul.restart({ wipe: true })
    await registered('shell', child)
    child.signal('SIGTERM')
    expect(await child.exited).toBe(0)
  })
})

/** Processes by their parent, from /proc. */
function processes(): { pid: number; parent: number; name: string; state: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
        const [, name = '', state = '', parent = ''] = /\((.*)\) (\S) (\d+)/.exec(stat) ?? []
        return [{ pid: Number(pid), parent: Number(parent), name, state }]
      } catch {
        return []
      }
    })
}

const childOf = (parent: number) => processes().find((one) => one.parent === parent)?.pid

function below(pid: number) {
  const all = processes()
  const found = all.filter((one) => one.parent === pid)
  for (const one of found) found.push(...all.filter(({ parent }) => parent === one.pid))
  return found
}
const statesBelow = (pid: number) => below(pid).map(({ state }) => state)
const namesBelow = (pid: number) => below(pid).map(({ name }) => name)
