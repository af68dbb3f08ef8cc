import { createServer } from 'node:http'

/** A service behind the gateway: it does no checks of its own, and tells whom the gateway took it for. */
const server = createServer((request, response) => {
  const { 'x-consumer': consumer = 'a stranger', 'x-plan': plan = 'none', 'x-api-key': key } = request.headers
  request.resume()
  response.setHeader('content-type', 'application/json')
  response.end(`${JSON.stringify({ consumer, plan, sawKey: key !== undefined })}\n`)
})
server.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1')
