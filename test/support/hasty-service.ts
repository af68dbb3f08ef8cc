import { appendFileSync } from 'node:fs'
import { createServer } from 'node:http'

/**
 * A service as it should not be, for tests of rollcheck: it registers, but on SIGTERM it is gone at once. Each order
 * takes a while, so that some are always under way. With TWICE=1 it executes its first order twice.
 *
 *   node hasty-service.ts <port>        CONSUL_HTTP_ADDR, LEDGER
 */
const port = Number(process.argv[2])
const id = `hasty-${port}`
const agent = `${process.env['CONSUL_HTTP_ADDR']}/v1/agent`
const WORK_MS = 60
let orders = 0

const server = createServer((request, response) => {
  request.resume().on('end', () => {
    const order = request.headers['x-rollcheck-id']
    if (request.method === 'POST' && process.env['LEDGER'] !== undefined) {
      orders++
      const times = orders === 1 && process.env['TWICE'] === '1' ? 2 : 1
      appendFileSync(process.env['LEDGER'], `${order}\n`.repeat(times))
    }
    setTimeout(() => response.writeHead(201).end('{}'), request.method === 'POST' ? WORK_MS : 0)
  })
})

const put = (path: string, body?: object) =>
  fetch(`${agent}/${path}`, { method: 'PUT', ...(body === undefined ? {} : { body: JSON.stringify(body) }) })

server.listen(port, '127.0.0.1', async () => {
  await put('service/register', {
    ID: id,
    Name: 'shop',
    Address: '127.0.0.1',
    Port: port,
    Check: { CheckID: `service:${id}`, TTL: '30s', Status: 'passing' },
  })
})
// Gone from the registry, too, but too late: what is under way is cut off.
process.on('SIGTERM', () => {
  void put(`service/deregister/${id}`).finally(() => process.exit(3))
})
