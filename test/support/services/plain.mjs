import { createServer } from 'node:http'
import { register } from 'sluice/register'

/** A plain Node service in JavaScript, as a user of the library writes it; `/slow?ms=` answers late, `/crash` crashes. */
const server = createServer((request, response) => {
  const url = new URL(request.url, 'http://service')
  if (url.pathname === '/crash') {
    setImmediate(() => {
      throw new TypeError('a bug')
    })
    return
  }
  setTimeout(() => response.end(`node ${process.versions.node}`), Number(url.searchParams.get('ms') ?? 0))
})
register({ service: 'plain', version: process.env.VERSION, server, ttl: '3s' })
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () =>
  console.log(`listens on ${server.address().port}`),
)
