import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'

/**
 * A small web service that registers itself with a Consul agent (or with the gateway's embedded registry, which
 * speaks the same protocol), beats its TTL, and drains on SIGTERM:
 *
 *   CONSUL_HTTP_ADDR=http://127.0.0.1:8081 node service.ts --name catalog --version 1.0.0
 */
const { values } = parseArgs({
  options: {
    name: { type: 'string', default: 'catalog' },
    version: { type: 'string', default: '1.0.0' },
    port: { type: 'string', default: '0' },
    'drain-ms': { type: 'string', default: '1500' },
  },
})
const agent = process.env['CONSUL_HTTP_ADDR'] ?? 'http://127.0.0.1:8500'
const token = process.env['CONSUL_HTTP_TOKEN']
const id = `${values.name}-${randomBytes(4).toString('hex')}`
const checkId = `service:${id}`
let isDraining = false

const server = createServer((request, response) => {
  request.resume()
  request.on('end', () => {
    if (isDraining) response.setHeader('connection', 'close')
    response.setHeader('content-type', 'application/json')
    response.end(
      `${JSON.stringify({ service: values.name, version: values.version, instance: id, path: request.url })}\n`,
    )
  })
})

async function call(path: string, body?: unknown): Promise<void> {
  const response = await fetch(`${agent}/v1/agent/${path}`, {
    method: 'PUT',
    signal: AbortSignal.timeout(2000),
    ...(token === undefined ? {} : { headers: { 'x-consul-token': token } }),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  await response.text()
  if (!response.ok) throw new TypeError(`${path}: ${response.status}`)
}

async function register(): Promise<void> {
  const { port } = server.address() as AddressInfo
  await call('service/register?replace-existing-checks=true', {
    ID: id,
    Name: values.name,
    Address: '127.0.0.1',
    Port: port,
    Tags: [`version=${values.version}`],
    Meta: { version: values.version },
    Check: { CheckID: checkId, TTL: '6s', Status: 'passing', DeregisterCriticalServiceAfter: '1m' },
  })
}

/** Register first; whenever a beat fails the agent may have forgotten us: register again. */
async function beat(): Promise<void> {
  if (isDraining) return
  try {
    await call(`check/pass/${checkId}`)
  } catch {
    await register().catch(() => console.error(`${id}: no registry at ${agent}, trying again`))
  }
}

async function drain(): Promise<void> {
  if (isDraining) process.exit(1)
  isDraining = true
  clearInterval(timer)
  await call(`service/deregister/${id}`).catch(() => {})
  setTimeout(() => {
    server.close(() => process.exit(0))
    server.closeIdleConnections()
  }, Number(values['drain-ms']))
}

let timer: NodeJS.Timeout
server.listen(Number(values.port), '127.0.0.1', () => {
  console.log(`${id} ${values.version} listens on ${(server.address() as AddressInfo).port}`)
  void register()
    .catch(beat)
    .then(() => {
      timer = setInterval(() => void beat(), 2000)
    })
})
process.on('SIGTERM', () => void drain())
process.on('SIGINT', () => void drain())
