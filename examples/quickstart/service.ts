import { createServer } from 'node:http'
import { parseArgs } from 'node:util'
import { register } from 'sluice/register'

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
    propagation: { type: 'string', default: '1500ms' },
  },
})
const { name, version, propagation } = values

const server = createServer((request, response) => {
  request.resume()
  request.on('end', () => {
    const answer = { service: name, version, instance: registration.id, path: request.url }
    response.setHeader('content-type', 'application/json')
    response.end(`${JSON.stringify(answer)}\n`)
  })
})
const registration = register({
  service: name,
  version,
  tags: [`version=${version}`],
  ttl: '6s',
  propagation,
  server,
})
server.listen(Number(values.port), '127.0.0.1', () => {
  const address = server.address()
  console.log(`${name} ${version} listens on ${typeof address === 'object' ? address?.port : address}`)
})
