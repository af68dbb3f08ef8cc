import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'

/**
 * A toy issuer of tokens and a service that says what it was sent. Only to look at: a real issuer asks who you are.
 *
 *   node demo.ts --issuer-port 9200 --service-port 9201
 *
 * GET /token?sub=alice&scope=refund gives a token, GET /jwks the keys, POST /rotate makes a new key.
 */
const { values } = parseArgs({
  options: {
    'issuer-port': { type: 'string', default: '9200' },
    'service-port': { type: 'string', default: '9201' },
  },
})

function makeKey() {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const kid = randomUUID()
  return { kid, privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'EdDSA' } }
}

// The key before the current one stays published: its tokens are still about.
let keys = [makeKey()]

const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url')

function makeToken(query: URLSearchParams): string {
  const [{ kid, privateKey }] = keys as [ReturnType<typeof makeKey>]
  const now = Math.floor(Date.now() / 1000)
  const claims = { iss: 'https://id.example.com/', aud: 'shop', iat: now, exp: now + 300 }
  const asked = { sub: query.get('sub') ?? 'alice', scope: query.get('scope') ?? '' }
  const data = `${encode({ alg: 'EdDSA', typ: 'JWT', kid })}.${encode({ ...claims, ...asked })}`
  return `${data}.${sign(null, Buffer.from(data), privateKey).toString('base64url')}`
}

const issuer = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://localhost')
  if (url.pathname === '/jwks') response.end(JSON.stringify({ keys: keys.map(({ jwk }) => jwk) }))
  else if (url.pathname === '/token') response.end(makeToken(url.searchParams))
  else if (url.pathname === '/rotate' && request.method === 'POST') {
    keys = [makeKey(), ...keys.slice(0, 1)]
    response.end('a new key\n')
  } else response.writeHead(404).end()
})

const service = createServer((request, response) => {
  const { 'x-user': user = 'nobody', authorization } = request.headers
  response.setHeader('content-type', 'application/json')
  response.end(`${JSON.stringify({ path: request.url, user, hasToken: authorization !== undefined })}\n`)
})

function listen(server: Server, port: string, what: string): void {
  server.listen(Number(port), '127.0.0.1', () => {
    console.log(`${what} listens on http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  })
}

listen(issuer, values['issuer-port'], 'issuer')
listen(service, values['service-port'], 'service')
