import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'
import { startChild } from '../support/child.ts'
import { useCleanups } from '../support/cleanup.ts'
import { type GatewayProcess, startGateway, startService } from '../support/gateway.ts'
import { freePort } from '../support/ports.ts'
import { waitFor } from '../support/wait.ts'

const SLUICE = join(import.meta.dirname, '../../bin/sluice')
const YAML = `registries: { local: { type: embedded } }
routes: [{ name: shop, match: { pathPrefix: / }, service: shop }]`
const { later } = useCleanups()

/** A gateway on addresses that its successor can have, too. */
async function addresses(): Promise<Record<string, string>> {
  return {
    SLUICE_LISTEN_HTTP: `127.0.0.1:${await freePort()}`,
    SLUICE_ADMIN_ADDRESS: `127.0.0.1:${await freePort()}`,
  }
}

async function aGateway(env: Record<string, string> = {}) {
  const gateway = await startGateway({ yaml: YAML, env, waitReady: Object.keys(env).length === 0 })
  later(() => {
    gateway.signal('SIGKILL')
    return gateway.exited()
  })
  return gateway
}

async function anInstance(gateway: GatewayProcess, version: string) {
  const service = await startService({ registry: gateway.adminUrl, name: 'shop', version })
  later(() => service.kill9())
  return service
}

function sluice(adminUrl: string, ...args: string[]) {
  const env = { ...process.env, SLUICE_ADMIN_URL: adminUrl }
  const { status, stdout, stderr } = spawnSync(SLUICE, args, { encoding: 'utf8', env })
  return { status, out: stdout.trim(), err: stderr.trim() }
}

/** A command line on a screen of 100 × 12. */
function onScreen(adminUrl: string, ...args: string[]) {
  const line = `stty cols 100 rows 12; exec ${SLUICE} ${args.join(' ')}`
  const child: ChildProcess = spawn('script', ['-qefc', line, '/dev/null'], {
    env: { ...process.env, SLUICE_ADMIN_URL: adminUrl, TERM: 'xterm', NO_COLOR: undefined },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let written = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    written += chunk.toString()
  })
  const closed = once(child, 'close')
  later(() => {
    child.kill('SIGKILL')
    return closed
  })
  return {
    written: () => written,
    /** What stands on it now, without colour. */
    lines: () => stripVTControlCharacters(written.slice(written.lastIndexOf('\x1b[H'))).split('\r\n'),
    type: (text: string) => void child.stdin?.write(text),
    exited: closed.then(([code]) => code as number),
  }
}

test('an instance dies: services, instances and events say so, each with its exit code', {
  timeout: 60_000,
}, async () => {
  const gateway = await aGateway()
  const { adminUrl } = gateway
  await anInstance(gateway, '1.0.0')
  const mortal = await anInstance(gateway, '2.0.0')
  const shop = async () =>
    (await gateway.admin<{ services: { available: number }[] }>('/api/services')).services[0]?.available
  await waitFor(async () => (await shop()) === 2)
  const well = sluice(adminUrl, 'services')
  expect(well.out).toMatch(/^shop +healthy +2\/2 +1\.0\.0 ×1, 2\.0\.0 ×1 +local live/m)
  expect(well.out).not.toContain('\x1b')
  expect([well.status, well.err]).toEqual([0, ''])
  expect(sluice(adminUrl, 'instances', '--problems')).toMatchObject({
    status: 0,
    out: 'no problems (2 instances)',
  })
  expect(sluice(adminUrl, 'services', 'shpo')).toMatchObject({ status: 1, out: 'no such service' })

  const screen = onScreen(adminUrl, 'services', '--watch')
  await waitFor(() => screen.lines()[2]?.includes('2/2'))
  await mortal.kill9()
  const diedAt = performance.now()
  await waitFor(async () => {
    await fetch(gateway.publicUrl)
    return (await shop()) === 1
  })
  await waitFor(() => screen.lines()[2]?.includes('1/2'))
  expect(screen.lines()[2]).toMatch(/^shop +degraded +1\/2 .*1 of 2 unhealthy: 127\.0\.0\.1:/)

  const ill = sluice(adminUrl, 'services', '--problems')
  expect([ill.status, ill.out]).toEqual([1, expect.stringContaining('1 of 2 unhealthy: 127.0.0.1:')])
  const json = JSON.parse(sluice(adminUrl, 'instances', 'shop', '--version', '2.*', '--json').out)
  expect(json.instances).toMatchObject([{ version: '2.0.0', health: 'unhealthy' }])
  const { id, address } = json.instances[0]
  // Its time to live runs out, too: then the registry knows.
  await waitFor(() => sluice(adminUrl, 'instances', '--state', 'critical').status === 1, {
    timeoutMs: 15_000 - (performance.now() - diedAt),
  })
  const { out } = sluice(adminUrl, 'instances', '--problems')
  expect(out).toMatch(/^ADDRESS +HEALTH +ID +VERSION/)
  expect(out).toMatch(new RegExp(`^${address} +unhealthy +${id} +2.0.0 .*TTL expired`, 'm'))

  const told = sluice(adminUrl, 'events', '--service', 'shop')
  expect(told.status).toBe(0)
  expect(told.out).toMatch(/^\d\d:\d\d:\d\d {2}ejection {2}shop .* ejected for \d+s: /m)
  expect(told.out).toContain(`shop ${address} (${id}, 2.0.0) passing → critical`)
  expect(told.out).not.toContain('the gateway is ready')
  const lines = sluice(adminUrl, 'events', '--type', 'state,table', '--json').out.split('\n')
  expect(lines.map((line) => JSON.parse(line).type)).toContain('state')
  expect(sluice(adminUrl, 'events', '--type', 'state', '--since', '1ms').out).toBe('')

  expect(screen.lines().filter((line) => line.length > 100)).toEqual([])
  screen.type('\x03')
  expect(await screen.exited).toBe(1)
  expect(screen.written()).toMatch(/^\x1b\[\?25l/)
  expect(screen.written().trimEnd()).toMatch(/\x1b\[\?25h$/)
  expect(screen.written()).toContain('\x1b[33mdegraded\x1b[39m')
})

test('while the gateway is away the screen is called stale, and events go on where they were', {
  timeout: 60_000,
}, async () => {
  const env = await addresses()
  const adminUrl = `http://${env['SLUICE_ADMIN_ADDRESS']}`
  const ready = () => waitFor(async () => (await fetch(`${adminUrl}/health/ready`)).ok, { timeoutMs: 20_000 })
  const gateway = await aGateway(env)
  await ready()
  const screen = onScreen(adminUrl, 'instances', '--watch')
  const watcher = startChild(SLUICE, ['events', '--watch', '--since', '1h', '--type', 'state'], {
    SLUICE_ADMIN_URL: adminUrl,
  })
  later(() => watcher.end())
  await waitFor(() => screen.lines()[0]?.includes('ready, table 1') && watcher.output().includes('is ready'))
  gateway.signal('SIGKILL')
  await gateway.exited()
  await waitFor(() => screen.lines()[0]?.includes('stale, last answer'))
  await waitFor(() => watcher.output().includes('-- the gateway is away'))
  await aGateway(env)
  await ready()
  await waitFor(() => screen.lines()[0]?.includes('ready, table 1'))
  // The new process counts from 1 again; its beginning is told all the same, and once.
  await waitFor(() => watcher.output().match(/state {5}the gateway is ready/g)?.length === 2)
  expect(watcher.output()).toMatch(/-- the gateway is back after \d+s\n.*state {5}the gateway is ready\n$/)
  watcher.signal('SIGINT')
  expect(await watcher.exited).toBe(0)
  screen.type('\x03')
  expect(await screen.exited).toBe(0)
})

test('what cannot be reached or was not meant so is 2', { timeout: 60_000 }, async () => {
  const nobody = `http://127.0.0.1:${await freePort()}`
  for (const args of [['services'], ['instances', '--watch'], ['events'], ['events', '--watch']]) {
    expect([args, sluice(nobody, ...args)]).toEqual([
      args,
      { status: 2, out: '', err: expect.stringContaining('no gateway answers') },
    ])
  }
  expect(sluice(nobody, 'instances', '--state', 'dead')).toMatchObject({
    status: 2,
    err: expect.stringContaining('rotation'),
  })
  expect(sluice(nobody, 'events', '--since', 'monday').status).toBe(2)
})
