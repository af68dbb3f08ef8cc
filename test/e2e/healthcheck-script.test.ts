import { readFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { startChild } from '../support/child.ts'
import { useCleanups } from '../support/cleanup.ts'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { freePort } from '../support/ports.ts'
import { waitFor } from '../support/wait.ts'

const EXAMPLES = join(import.meta.dirname, '../../examples')
const SCRIPT = join(EXAMPLES, 'marathon/healthcheck.sh')
const { later } = useCleanups()

let gateway: GatewayProcess
beforeAll(async () => {
  gateway = await startGateway({
    yaml: 'registries: { local: { type: embedded } }',
    routes: { 'shop.yaml': 'routes: [{ name: shop, match: { pathPrefix: / }, service: catalog }]' },
  })
})
afterAll(() => gateway.stop())

/** Exit code and warning of the script. */
async function check(instance: string, monitor = gateway.adminUrl, app = 'catalog') {
  const child = startChild(SCRIPT, [app, instance], { SLUICE_MONITOR: monitor })
  later(() => child.end())
  return { code: await child.exited, output: child.output() }
}

const agent = async (path: string, body?: object) => {
  const init = { method: 'PUT', ...(body === undefined ? {} : { body: JSON.stringify(body) }) }
  const response = await fetch(`${gateway.adminUrl}/v1/agent/${path}`, init)
  expect(response.status).toBe(200)
}

/** Registers an instance that passes; gives its `host:port`. */
async function instance(id: string): Promise<string> {
  const port = await freePort()
  const Check = { CheckID: `service:${id}`, TTL: '60s', Status: 'passing' }
  await agent('service/register', { ID: id, Name: 'catalog', Address: '127.0.0.1', Port: port, Check })
  later(() => agent(`service/deregister/${id}`))
  return `127.0.0.1:${port}`
}

async function fakeMonitor(answer: RequestListener): Promise<string> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  later(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe('the health check for Marathon', () => {
  test('fails for an instance that is known to be unhealthy, and for nothing else', async () => {
    const address = await instance('catalog-1')
    await waitFor(async () => (await fetch(`${gateway.adminUrl}/api/health/catalog/${address}`)).ok)
    expect(await check(address)).toEqual({ code: 0, output: '' })
    await agent('check/fail/service:catalog-1')
    await waitFor(async () => (await check(address)).code === 1, { what: 'unhealthy' })
    expect((await check(address)).output).toContain('is unhealthy')
    await agent('check/pass/service:catalog-1')
    await waitFor(async () => (await check(address)).code === 0, { what: 'healthy again' })
  })

  test('an instance that drains is left alone', async () => {
    const address = await instance('catalog-2')
    await agent('service/maintenance/catalog-2?enable=true&reason=draining')
    await waitFor(async () => {
      const view = await gateway.admin<{ state?: string }>(`/api/health/catalog/${address}`)
      return view.state === 'draining'
    })
    expect((await check(address)).code).toBe(0)
  })

  test.each([
    ['an instance that nobody knows (yet)', 'catalog', '127.0.0.1:9'],
    ['a service that nobody knows (yet)', 'nothing', '127.0.0.1:9'],
  ])('%s counts as healthy, with a warning', async (_what, app, address) => {
    const { code, output } = await check(address, gateway.adminUrl, app)
    expect(code).toBe(0)
    expect(output).toContain('counts as healthy')
  })

  test.each<[string, RequestListener]>([
    ['a balancer without gateways', (_q, s) => s.writeHead(503).end('<html>503 unhealthy upstream</html>')],
    ['a balancer that says unhealthy of itself', (_q, s) => s.writeHead(502).end('unhealthy')],
    ['a login page', (_q, s) => s.writeHead(200).end('<html>sign in</html>')],
    ['a missing token', (_q, s) => s.writeHead(401).end('{"code":"GW_ADMIN_UNAUTHORIZED"}')],
    ['a monitor that hangs', () => {}],
    ['a monitor that breaks off', (_q, s) => s.destroy()],
  ])('%s kills nobody', async (_what, answer) => {
    const { code, output } = await check('127.0.0.1:9', await fakeMonitor(answer))
    expect(code).toBe(0)
    expect(output).toContain('counts as healthy')
  })

  test('no monitor at all kills nobody', async () => {
    expect((await check('127.0.0.1:9', `http://127.0.0.1:${await freePort()}`)).code).toBe(0)
  })
})

describe('the examples for schedulers', () => {
  const text = (file: string) => readFileSync(join(EXAMPLES, file), 'utf8')

  test('Marathon: capacity, time to drain, and a check that is given longer than the script takes', () => {
    const app = JSON.parse(text('marathon/app.json'))
    expect(app.upgradeStrategy).toEqual({ minimumHealthCapacity: 1, maximumOverCapacity: 0.34 })
    expect(app.taskKillGracePeriodSeconds).toBeGreaterThan(8)
    const [health] = app.healthChecks
    expect(health.protocol).toBe('COMMAND')
    expect(health.command.value).toContain('healthcheck.sh catalog $HOST:$PORT0')
    expect(health.timeoutSeconds).toBeGreaterThan(3)
  })

  test('Kubernetes: one more before one less, time to drain, and a liveness probe that asks nobody else', () => {
    const { spec } = parse(text('kubernetes/deployment.yaml'))
    expect(spec.strategy.rollingUpdate).toEqual({ maxUnavailable: 0, maxSurge: 1 })
    expect(spec.template.spec.terminationGracePeriodSeconds).toBeGreaterThan(8)
    const [container] = spec.template.spec.containers
    expect(Object.keys(container.livenessProbe)).toContain('httpGet')
    expect(container.readinessProbe.exec.command.join(' ')).toContain('?strict=1')
  })

  test('Compose: time to drain, and the address of the host', () => {
    const { services } = parse(text('compose/compose.yaml'))
    expect(services.catalog.stop_grace_period).toBe('10s')
    expect(services.catalog.environment.HOST_IP).toContain('HOST_IP')
  })
})
