import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { freePort } from '../support/ports.ts'
import { reportOf, rollcheck } from '../support/rollcheck.ts'
import { waitFor } from '../support/wait.ts'

const ROOT = join(import.meta.dirname, '../..')
const HASTY = join(ROOT, 'test/support/hasty-service.ts')
const EXAMPLE = join(ROOT, 'examples/rolling')
const cleanups = useCleanups()

async function gatewayWithRegistry(): Promise<GatewayProcess> {
  const gateway = await startGateway({
    yaml: 'registries: { local: { type: embedded } }',
    routes: { 'shop.yaml': 'routes: [{ name: shop, match: { pathPrefix: / }, service: shop }]' },
  })
  cleanups.later(() => {
    gateway.signal('SIGKILL')
    return gateway.exited()
  })
  return gateway
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'sluice-rollcheck-'))
  cleanups.later(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** A plan in a folder of its own. */
function planFile(yaml: string): string {
  const file = join(folder(), 'plan.yaml')
  writeFileSync(file, yaml)
  return file
}

test('the example rolls three instances of v1 to v2 and loses nothing', async () => {
  const gateway = await gatewayWithRegistry()
  const env = {
    SHOP_URL: gateway.publicUrl,
    SHOP_ADMIN_URL: gateway.adminUrl,
    SHOP_LEDGER: folder(),
  }
  const run = await rollcheck([join(EXAMPLE, 'rollcheck.yaml'), '--json'], { env })
  const report = reportOf(run)
  expect(report.lost).toEqual([])
  expect(report).toMatchObject({ result: 'ok', counts: { lost: 0, duplicated: 0, lostWrites: 0 } })
  expect(report.requests.every(({ ok }) => ok > 10)).toBe(true)
  expect(report.ledger?.executed).toBe(report.requests.find(({ name }) => name === 'order')?.sent)
  expect(report.instances).toHaveLength(6)
  for (const { version, steps, exit, findings } of report.instances) {
    expect(findings).toEqual([])
    expect(steps['in rotation']).toBeGreaterThanOrEqual(steps.started ?? Number.NaN)
    if (version === '1') {
      expect(exit).toBe(0)
      // Told by the gateway, over the wire: a busy machine reads it a moment later.
      expect(steps['out of rotation']).toBeLessThan((steps.exited ?? 0) + 250)
    }
  }
  expect(run.code).toBe(0)
})

const hastyPlan = (gateway: GatewayProcess, own: { env: string; roll: string }) => `version: 1
target: ${gateway.publicUrl}
admin: ["${gateway.adminUrl}"]
ledger: ledger-*
load:
  rate: 60
  before: 300ms
  after: 300ms
  timeout: 4s
  requests:
    - { path: /orders, method: POST, weight: 3 }
    - { path: /items }
roll:
  service: shop
  instances: 2
  start: node ${HASTY} {port}
  env: { CONSUL_HTTP_ADDR: "${gateway.adminUrl}", LEDGER: "ledger-{n}", ${own.env} }
  ${own.roll}
`

test('a service that is gone at once on SIGTERM loses orders, and the report says which, when and why', async () => {
  const gateway = await gatewayWithRegistry()
  const file = planFile(hastyPlan(gateway, { env: '', roll: 'rounds: 2' }))
  const run = await rollcheck([file, '--json'])
  const report = reportOf(run)
  expect(run.code).toBe(1)
  expect(report.result).toBe('loss')
  expect(report.counts.lost).toBeGreaterThan(0)
  for (const lost of report.lost) {
    expect(lost).toMatchObject({ kind: 'post', loss: 'wrong-answer', status: 502, code: 'GW_UPSTREAM_RESET' })
    expect(lost.requestId).toMatch(/.+/)
    expect(lost.meanwhile.map(({ name }) => name).join()).toContain('shop#')
  }
  // They noted the order before they died with it, unless it was still in their socket.
  expect(report.counts.executedButFailed).toBeGreaterThan(0)
  expect(report.counts.executedButFailed).toBeLessThanOrEqual(report.counts.lost)
  const stopped = report.instances.filter(({ steps }) => steps['told to stop'] !== undefined)
  expect(stopped.map(({ findings }) => findings)).toEqual(
    stopped.map(() => ['ended with 3 after SIGTERM, not with 0']),
  )
})

test('an order that is executed twice is found, and the readable report names it', async () => {
  const gateway = await gatewayWithRegistry()

  const roll = 'minimumHealthCapacity: 0'
  const file = planFile(hastyPlan(gateway, { env: 'TWICE: "1"', roll }))
  const run = await rollcheck([file])
  expect(run.code).toBe(1)
  expect(run.output).toMatch(/duplicated: [1-9]/)
  expect(run.output).toMatch(/POST \/orders \(roll-[0-9a-f]{8}-\d+\), 2 times/)
})

test('an instance that never gets ready ends the roll with 2 and its last words', async () => {
  const gateway = await gatewayWithRegistry()
  const file = planFile(`version: 1
target: ${gateway.publicUrl}
admin: ["${gateway.adminUrl}"]
roll: { service: shop, instances: 1, start: [node, "-e", "console.error('no database'); process.exit(9)"] }
`)
  const { code, errors } = await rollcheck([file])
  expect(code).toBe(2)
  expect(errors).toContain('GW_ROLL_FAILED: shop#1 ended before it was in rotation: no database')
})

test('a plan with a mistake, and a gateway that is not there, are 2', async () => {
  const wrong = await rollcheck([planFile('version: 1\nrol: {}')])
  expect(wrong.code).toBe(2)
  expect(wrong.errors).toContain('plan.yaml:2:1  error  unknown key "rol"')
  const admin = `http://127.0.0.1:${await freePort()}`
  const absent = await rollcheck(['--url', admin, '--admin', admin, '--service', 'shop', '--restart', 'true'])
  expect(absent.code).toBe(2)
  expect(absent.errors).toContain('GW_ADMIN_UNREACHABLE')
})

test('flags alone restart each instance with a command', async () => {
  const gateway = await gatewayWithRegistry()
  const file = join(folder(), 'restart.sh')
  // What a process supervisor does: end the one on this port, start another there.
  writeFileSync(
    file,
    `set -e
kill "$(cat "$0.$1")"
while kill -0 "$(cat "$0.$1")" 2>/dev/null; do sleep 0.05; done
sh "$0.start" "$1"
`,
  )
  writeFileSync(
    `${file}.start`,
    `CONSUL_HTTP_ADDR=${gateway.adminUrl} SLUICE_REGISTER_PROPAGATION=300ms \\
  "${process.execPath}" "${join(EXAMPLE, 'service.ts')}" --port "$1" >/dev/null 2>&1 &
echo $! > "${file}.$1"
`,
  )
  const ports = [await freePort(), await freePort()]
  for (const port of ports) {
    execFileSync('sh', [`${file}.start`, String(port)])
    cleanups.later(() => process.kill(Number(readFileSync(`${file}.${port}`, 'utf8')), 'SIGKILL'))
  }
  const available = async () => (await gateway.admin<{ available?: number }>('/api/services/shop')).available
  await waitFor(async () => (await available()) === 2, { what: 'two instances' })
  const run = await rollcheck([
    ...['--url', `${gateway.publicUrl}/items/1`, '--admin', gateway.adminUrl, '--service', 'shop'],
    ...['--restart', `sh ${file} {port}`, '--rate', '50', '--json'],
  ])
  const report = reportOf(run)
  expect(report).toMatchObject({ result: 'ok', counts: { lost: 0 } })
  expect(report.instances.filter(({ steps }) => steps['told to stop'] !== undefined)).toHaveLength(2)
  expect(report.instances).toHaveLength(4)
  expect(run.code).toBe(0)
})

test('two gateways behind the balancer are rolled without loss', async () => {
  const service = await gatewayWithRegistry()
  const gateways: string[] = []
  for (let i = 0; i < 2; i++) {
    const home = folder()
    const [port, admin] = [await freePort(), await freePort()]
    writeFileSync(
      join(home, 'sluice.yaml'),
      `version: 1
listen: { http: { address: "127.0.0.1:${port}" } }
admin: { address: "127.0.0.1:${admin}" }
drain: { acceptGrace: 2s }
routes: [{ name: ready, match: { pathPrefix: / }, upstreams: ["${service.adminUrl}"] }]
`,
    )
    const start = `${join(ROOT, 'bin/sluice')} run -c ${home}`
    gateways.push(
      `{ url: "http://127.0.0.1:${port}", admin: "http://127.0.0.1:${admin}", start: "${start}" }`,
    )
  }
  const file = planFile(`version: 1
load: { rate: 50, requests: [{ path: /health/live, expect: { bodyIncludes: live } }] }
roll:
  gateways: [${gateways.join(', ')}]
`)
  const run = await rollcheck([file, '--json'])
  const report = reportOf(run)
  expect(report.lost).toEqual([])
  expect(report.instances).toHaveLength(4)
  for (const { steps, exit } of report.instances.slice(0, 2)) {
    expect(exit).toBe(0)
    expect(steps['last accept']).toBeLessThan(steps.exited ?? 0)
  }
  expect(run.code).toBe(0)
})
