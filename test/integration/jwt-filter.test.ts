import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { IncomingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { useCleanups } from '../support/cleanup.ts'
import { type GatewayOptions, startGateway } from '../support/gateway.ts'
import { startIssuer } from '../support/issuer.ts'
import { httpServer } from '../support/scripted-server.ts'
import { goodClaims, ISSUER, jwksOf, makeKey, makeToken } from '../support/tokens.ts'
import { waitFor } from '../support/wait.ts'

const { opened, later } = useCleanups()
const one = makeKey('RS256', 'one')
const two = makeKey('ES256', 'two')
const ROOT = join(import.meta.dirname, '../..')

/** A service that remembers what it was sent. */
async function startService() {
  const seen: { headers: IncomingHttpHeaders; url: string }[] = []
  const server = await opened(
    httpServer((request, response) => {
      seen.push({ headers: request.headers, url: request.url ?? '' })
      response.end('hello')
    }),
  )
  return { ...server, seen }
}

async function gatewayOf(options: GatewayOptions) {
  const gateway = await startGateway(options)
  later(() => gateway.stop())
  const get = (path: string, token?: string, headers: Record<string, string> = {}) =>
    fetch(gateway.publicUrl + path, {
      headers: { ...headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
    })
  const metric = async (pattern: RegExp) => {
    const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
    return text.split('\n').filter((line) => pattern.test(line))
  }
  return { ...gateway, get, metric }
}

const yamlOf = (port: number, provider: string, filter = '') => `
identityProviders:
  login: ${provider}
routes:
  - name: shop
    match: { pathPrefix: / }
    filters: [{ type: jwt, providers: [login], headers: { x-user: id }${filter} }]
    upstreams: ["http://127.0.0.1:${port}"]
`
const jwks = (url: string, more = '') =>
  `{ type: jwks, issuer: "${ISSUER}", audiences: [shop], jwksUrl: "${url}"${more} }`
const token = (key = one, own = {}) => makeToken(key, goodClaims(own))

test('keys are rotated and the issuer goes away under load: no valid token is refused', async () => {
  const service = await startService()
  const issuer = await opened(startIssuer(one))
  const gateway = await gatewayOf({
    yaml: yamlOf(
      service.port,
      jwks(issuer.jwksUrl, ', keyCache: { refresh: 1s }, tokenCache: { entries: 0 }'),
    ),
  })
  let isOver = false
  let key = one
  const statuses = new Map<number, number>()
  const loop = async () => {
    while (!isOver) {
      const { status } = await gateway.get('/', token(key))
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
  }
  const load = Promise.all([loop(), loop(), loop(), loop()])
  const served = (count: number) =>
    waitFor(() => (statuses.get(200) ?? 0) >= count, { what: `${count} answers` })
  await served(50)
  issuer.publish(one, two)
  key = two
  await served((statuses.get(200) ?? 0) + 200)
  issuer.publish(two)
  await issuer.close()
  await waitFor(async () => (await gateway.metric(/identity_fetches_total.*failed/)).length > 0, {
    what: 'a fetch to fail',
  })
  await served((statuses.get(200) ?? 0) + 200)
  isOver = true
  await load
  expect([...statuses.keys()]).toEqual([200])
  const last = service.seen.at(-1)
  expect(last?.headers).toMatchObject({ 'x-user': 'alice' })
  expect(last?.headers).not.toHaveProperty('authorization')
  expect(gateway.output()).not.toContain(token(two).slice(0, 40))
})

test('decisions, fetches and the age of keys are counted; the log names who it was', async () => {
  const service = await startService()
  const issuer = await opened(startIssuer(one))
  const gateway = await gatewayOf({ yaml: yamlOf(service.port, jwks(issuer.jwksUrl)) })
  expect((await gateway.get('/', token())).status).toBe(200)
  expect((await gateway.get('/')).status).toBe(401)
  const expired = await gateway.get('/', token(one, { exp: 1 }))
  expect([expired.status, ((await expired.json()) as { code: string }).code]).toEqual([
    401,
    'GW_AUTH_EXPIRED',
  ])
  expect(await gateway.metric(/^sluice_auth_decisions_total/)).toEqual([
    'sluice_auth_decisions_total{filter="jwt",decision="ok"} 1',
    'sluice_auth_decisions_total{filter="jwt",decision="missing"} 1',
    'sluice_auth_decisions_total{filter="jwt",decision="expired"} 1',
  ])
  expect(await gateway.metric(/^sluice_identity_fetches_total/)).toEqual([
    'sluice_identity_fetches_total{provider="login",result="ok"} 1',
  ])
  const [age = ''] = await gateway.metric(/^sluice_jwks_age_seconds/)
  expect(Number(age.split(' ')[1])).toBeGreaterThan(0)
  await waitFor(() => gateway.output().includes('GW_AUTH_EXPIRED'), { what: 'the access log' })
  expect(gateway.output()).toContain('alice')
})

test('an issuer that is silent does not hold the start for ever, and requests wait for it no longer than 3 s', async () => {
  const service = await startService()
  const issuer = await opened(startIssuer(one))
  const held: (() => void)[] = []
  issuer.answer = (_, response) => void held.push(() => response.end(jwksOf(one)))
  const gateway = await gatewayOf({ yaml: yamlOf(service.port, jwks(issuer.jwksUrl, ', timeout: 60s')) })
  const before = performance.now()
  const answer = await gateway.get('/', token())
  expect(answer.status).toBe(503)
  expect(answer.headers.get('retry-after')).toBe('2')
  expect(performance.now() - before).toBeLessThan(30_000)
  for (const release of held) release()
  await waitFor(async () => (await gateway.get('/', token())).status === 200, { what: 'the keys' })
})

test('check contacts nobody, and names a provider that is not there', async () => {
  const issuer = await opened(startIssuer(one))
  const folder = await mkdtemp(join(tmpdir(), 'sluice-check-'))
  later(() => rm(folder, { recursive: true }))
  const check = async (yaml: string) => {
    await writeFile(join(folder, 'sluice.yaml'), `version: 1\n${yaml}`)
    return spawnSync(join(ROOT, 'bin/sluice'), ['check', '-c', folder], { encoding: 'utf8' })
  }
  const good = yamlOf(1, jwks(issuer.jwksUrl))
  expect((await check(good)).status).toBe(0)
  const { status, stdout, stderr } = await check(good.replace('providers: [login]', 'providers: [logn]'))
  expect(status).toBe(1)
  expect(stdout + stderr).toContain('no identity provider "logn" in identityProviders; there are: login')
  expect(issuer.fetches()).toBe(0)
  const filed = yamlOf(1, `{ type: jwks, issuer: x, audiences: [], jwksFile: keys.json }`)
  const without = await check(filed)
  expect([without.status, without.stdout + without.stderr]).toEqual([
    1,
    expect.stringContaining('keys.json is of no use'),
  ])
  await writeFile(join(folder, 'keys.json'), jwksOf(one))
  expect((await check(filed)).status).toBe(0)
})

test('tokens by introspection: asked once, revoked soon, refused when nobody answers', async () => {
  const service = await startService()
  const questions: string[] = []
  let answer: unknown = { active: true, sub: 'bob', scope: 'read' }
  const issuer = await opened(
    httpServer((request, response) => {
      let body = ''
      request.on('data', (chunk: Buffer) => {
        body += chunk.toString()
      })
      request.on('end', () => {
        questions.push(`${request.headers.authorization} ${body}`)
        response.end(JSON.stringify(answer))
      })
    }),
  )
  const provider = `{ type: introspection, url: "http://127.0.0.1:${issuer.port}/i", issuer: "${ISSUER}", audiences: [], clientId: gw, clientSecret: "\${ENV:TEST_SECRET}", cache: { active: 200ms, inactive: 0 } }`
  const gateway = await gatewayOf({
    yaml: yamlOf(service.port, provider, ', scopes: { all: [read] }'),
    env: { TEST_SECRET: 'the-secret' },
  })
  for (let i = 0; i < 5; i++) expect((await gateway.get('/', 'opaque-1')).status).toBe(200)
  expect(questions.length).toBeLessThan(5)
  expect(questions[0]).toBe(
    `Basic ${Buffer.from('gw:the-secret').toString('base64')} token=opaque-1&token_type_hint=access_token`,
  )
  expect(service.seen.at(-1)?.headers).toMatchObject({ 'x-user': 'bob' })
  answer = { active: false }
  await waitFor(async () => (await gateway.get('/', 'opaque-1')).status === 401, { what: 'the end of it' })
  answer = { active: true, sub: 'bob', scope: 'write' }
  expect((await gateway.get('/', 'opaque-2')).status).toBe(403)
  await issuer.close()
  expect((await gateway.get('/', 'opaque-3')).status).toBe(503)
  await waitFor(() => gateway.output().includes('could not be asked about'), { what: 'the log' })
  expect(gateway.output()).not.toMatch(/the-secret|opaque-[123]/)
})

test('a WebSocket needs its token, too, and the service sees the claim, not the token', async () => {
  const upgrades: { url: string; headers: IncomingHttpHeaders }[] = []
  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  later(() => sockets.close())
  sockets.on('connection', (socket, request) => {
    upgrades.push({ url: request.url ?? '', headers: request.headers })
    socket.close()
  })
  const issuer = await opened(startIssuer(one))
  const { port } = sockets.address() as { port: number }
  const gateway = await gatewayOf({
    yaml: yamlOf(port, jwks(issuer.jwksUrl), ', from: [{ query: access_token }]'),
  })
  const open = (query: string) =>
    new Promise<string>((resolve) => {
      const socket = new WebSocket(`${gateway.publicUrl.replace('http', 'ws')}/chat?room=1${query}`)
      socket.on('open', () => resolve('open')).on('error', (error) => resolve(error.message))
    })
  expect(await open('')).toContain('401')
  expect(await open('&access_token=x')).toContain('401')
  expect(await open(`&access_token=${token()}`)).toBe('open')
  expect(upgrades).toHaveLength(1)
  expect(upgrades[0]).toMatchObject({ url: '/chat?room=1', headers: { 'x-user': 'alice' } })
})
