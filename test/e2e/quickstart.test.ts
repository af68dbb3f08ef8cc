import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { freePort } from '../support/ports.ts'
import { waitFor } from '../support/wait.ts'

const ROOT = join(import.meta.dirname, '../..')
const cleanups: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

interface Demo {
  readonly child: ChildProcess
  readonly publicUrl: string
  readonly adminUrl: string
  output(): string
}

/** `npm start` on free ports. */
async function startDemo(): Promise<Demo> {
  const [port, adminPort] = [await freePort(), await freePort()]
  const child = spawn(join(ROOT, 'bin/sluice'), ['demo'], {
    env: {
      ...process.env,
      SLUICE_LISTEN_HTTP: `127.0.0.1:${port}`,
      SLUICE_ADMIN_ADDRESS: `127.0.0.1:${adminPort}`,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  child.stderr?.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  cleanups.push(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  })
  await waitFor(() => output.includes('is running'), { timeoutMs: 20_000, what: 'the banner' }).catch(
    (thrown: Error) => {
      throw Object.assign(thrown, { message: `${thrown.message}\n${output}` })
    },
  )
  return {
    child,
    publicUrl: `http://127.0.0.1:${port}`,
    adminUrl: `http://127.0.0.1:${adminPort}`,
    output: () => output,
  }
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test('npm start runs two services, one in two versions, says where, and takes its instances along', async () => {
  const demo = await startDemo()
  expect(demo.output()).toContain(`clients   ${demo.publicUrl}`)
  expect(demo.output()).toContain('3 routes, 2 services, 3 instances in rotation')
  expect(demo.output()).not.toContain('Deprecation')

  const versions = new Set<string>()
  await waitFor(async () => {
    const answer = await fetch(`${demo.publicUrl}/catalog/items/1`)
    const body = (await answer.json()) as { service: string; version: string; path: string }
    expect(body).toMatchObject({ service: 'catalog', path: '/items/1' })
    versions.add(body.version)
    return versions.size === 2
  })
  const orders = await fetch(`${demo.publicUrl}/orders/7`)
  expect(await orders.json()).toMatchObject({ service: 'orders', path: '/7' })
  expect(orders.headers.get('x-content-type-options')).toBe('nosniff')
  const page = await fetch(`${demo.adminUrl}/`)
  expect(page.headers.get('content-type')).toContain('text/html')

  const children = readFileSync(`/proc/${demo.child.pid}/task/${demo.child.pid}/children`, 'utf8')
  const pids = children.trim().split(' ').map(Number)
  expect(pids).toHaveLength(3)
  demo.child.kill('SIGTERM')
  const [code] = (await once(demo.child, 'exit')) as [number]
  expect(code).toBe(0)
  await waitFor(() => pids.every((pid) => !isAlive(pid)), { what: 'the instances to end' })
})

test('a route file that is saved while the gateway runs is live, and nonsense changes nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-quickstart-'))
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
  cpSync(join(ROOT, 'examples/quickstart'), folder, { recursive: true })
  const [port, adminPort] = [await freePort(), await freePort()]
  const child = spawn(join(ROOT, 'bin/sluice'), ['run', '-c', folder, '--json'], {
    env: {
      ...process.env,
      SLUICE_LISTEN_HTTP: `127.0.0.1:${port}`,
      SLUICE_ADMIN_ADDRESS: `127.0.0.1:${adminPort}`,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  cleanups.push(async () => {
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  const url = `http://127.0.0.1:${port}`
  const welcome = async () => (await fetch(url)).text()
  await waitFor(async () => (await welcome()).includes('Sluice is running'), { timeoutMs: 20_000 })
  const file = join(folder, 'routes.d/shop.yaml')
  const before = readFileSync(file, 'utf8')
  writeFileSync(file, before.replace('Sluice is running', 'Sluice was edited'))
  await waitFor(async () => (await welcome()).includes('Sluice was edited'))

  writeFileSync(file, before.replace('respond:', 'reespond:'))
  await waitFor(() => output.includes('rejected, the old table stays'))
  expect(output).toContain('shop.yaml:21:5')
  expect(output).toContain('did you mean \\"respond\\"?')
  expect(await welcome()).toContain('Sluice was edited')
  const ready = await fetch(`http://127.0.0.1:${adminPort}/health/ready`)
  expect(ready.status).toBe(200)
  expect(((await ready.json()) as { warnings: string[] }).warnings.join()).toContain('rejected')

  writeFileSync(file, before)
  await waitFor(async () => (await welcome()).includes('Sluice is running'))
  const healthy = await fetch(`http://127.0.0.1:${adminPort}/health/ready`)
  expect(((await healthy.json()) as { warnings: string[] }).warnings).toEqual([])
})
