import { appendFileSync, mkdirSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { register } from 'sluice/register'
import { type WebSocket, WebSocketServer } from 'ws'

/**
 * A shop that can be rolled without losing a request: it registers itself, and drains on SIGTERM.
 *
 *   CONSUL_HTTP_ADDR=http://127.0.0.1:8081 node service.ts --port 3000 --version 1
 *
 * LEDGER names a file in which it notes the x-rollcheck-id of each order that it executed.
 */
const { values } = parseArgs({
  options: { port: { type: 'string', default: '0' }, version: { type: 'string', default: '1' } },
})
const { version } = values
const ledger = process.env['LEDGER']
if (ledger !== undefined) mkdirSync(dirname(ledger), { recursive: true })

/** A WebSocket may end its conversation for so long after SIGTERM. ms. */
const GOODBYE_MS = 5000
const CHUNK = Buffer.alloc(1024, 's')

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ ...body, version, instance: registration.id }))
}

async function read(request: IncomingMessage): Promise<number> {
  let bytes = 0
  for await (const chunk of request) bytes += (chunk as Buffer).length
  return bytes
}

function takeOrder(request: IncomingMessage, response: ServerResponse): void {
  const id = request.headers['x-rollcheck-id']
  // Noted before it is answered: an order that was executed is in the ledger, whatever becomes of the answer.
  if (ledger !== undefined && typeof id === 'string') appendFileSync(ledger, `${id}\n`)
  sendJson(response, 201, { order: id })
}

function stream(response: ServerResponse, query: URLSearchParams): void {
  let left = Math.min(Number(query.get('chunks') ?? 10), 1000)
  const ms = Math.min(Number(query.get('ms') ?? 100), 5000)
  response.writeHead(200, { 'content-type': 'application/octet-stream' })
  const timer = setInterval(() => {
    left--
    if (left > 0) response.write(CHUNK)
    else response.end(CHUNK)
    if (left <= 0) clearInterval(timer)
  }, ms)
  response.on('close', () => clearInterval(timer))
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://shop')
  const item = /^\/items\/([\w-]+)$/.exec(pathname)?.[1]
  const what = `${request.method} ${pathname}`
  const bytes = await read(request)
  if (request.method === 'GET' && item !== undefined) return sendJson(response, 200, { item })
  if (what === 'POST /orders') return takeOrder(request, response)
  if (what === 'PUT /upload') return sendJson(response, 200, { bytes })
  if (what === 'GET /stream') return stream(response, searchParams)
  sendJson(response, 404, { error: 'not found' })
}

const server = createServer((request, response) => {
  // A client that leaves while it sends: nobody is there for an answer.
  answer(request, response).catch(() => response.destroy())
})

const sockets = new WebSocketServer({ server, path: '/ws' })
sockets.on('connection', (socket: WebSocket) => {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
})

const registration = register({
  service: 'shop',
  server,
  version,
  onDrain: () => {
    const goodbye = setTimeout(() => {
      for (const socket of sockets.clients) socket.close(1001, 'this instance is going away')
    }, GOODBYE_MS)
    goodbye.unref()
  },
})

server.listen(Number(values.port), '127.0.0.1', () => console.log(`shop ${version} listens`))
