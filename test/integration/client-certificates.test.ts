import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect as connectH2 } from 'node:http2'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { type Authority, authority, type Issued } from '../support/authority.ts'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { startGateway } from '../support/gateway.ts'
import { guarded } from '../support/guarded.ts'
import { freePort } from '../support/ports.ts'
import { type TlsFiles, tlsFiles } from '../support/tls-files.ts'
import { waitFor } from '../support/wait.ts'

const cleanups = useCleanups()
const { later, opened, proxy } = cleanups
let ca: Authority
let foreign: Authority
let client: Issued
let stranger: Issued
let server: TlsFiles
let second: TlsFiles
beforeAll(async () => {
  ca = await authority('Clients')
  foreign = await authority('Foreign')
  client = await ca.issue('/O=Example/CN=shop, "x"', 'DNS:shop.example,URI:spiffe://prod/shop')
  stranger = await foreign.issue('/O=Example/CN=shop, "x"', 'DNS:shop.example')
  server = await tlsFiles('first.example')
  second = await tlsFiles('second.example')
})
afterAll(async () => {
  for (const each of [ca, foreign, server, second]) await each.close()
})

const behind = (filters: string, mode: 'request' | 'require' = 'request', own: object = {}) =>
  guarded(cleanups, filters, {
    tls: { pairs: [server, second], clientAuth: { ca: ca.caFile, mode, ...own } },
  })
const as = (issued?: Issued, servername = 'first.example') => ({
  rejectUnauthorized: false,
  servername,
  ...(issued === undefined ? {} : { key: issued.key, cert: issued.cert }),
})

describe('a listener that asks for certificates', () => {
  test('a client of the authority is known; its certificate becomes principal and headers', async () => {
    const headers =
      'headers: { x-client-cn: claims.commonName, x-client-uri: claims.uris, x-client-fp: claims.fingerprint }'
    const { send, gateway } = await behind(`{ type: mtls, ${headers} }`)
    const { status, arrived } = await send({ tls: as(client), headers: { 'x-client-cn': 'forged' } })
    expect([status, arrived?.headers['x-client-cn']]).toEqual([200, 'shop, "x"'])
    expect(arrived?.headers).toMatchObject({
      'x-client-uri': 'spiffe://prod/shop',
      'x-client-fp': client.fingerprint,
    })
    const { principal } = await gateway.record()
    expect(principal).toEqual({ id: 'CN=shop\\, \\"x\\",O=Example', kind: 'mtls' })
  })

  test.each(['first.example', 'second.example', 'unknown.example'])(
    'with the server name %s, too: only our authority counts',
    async (servername) => {
      const { send } = await behind('{ type: mtls, fingerprints: [] }')
      expect((await send({ tls: as(client, servername) })).status).toBe(200)
      const refused = { status: 403, code: 'GW_AUTH_CERTIFICATE', arrived: undefined }
      expect(await send({ tls: as(stranger, servername) })).toMatchObject(refused)
      expect(await send({ tls: as(undefined, servername) })).toMatchObject(refused)
    },
  )

  test('mode require: nobody without a certificate of the authority gets through the handshake', async () => {
    const { send } = await behind('', 'require')
    expect((await send({ tls: as(client) })).status).toBe(200)
    await expect(send({ tls: as() })).rejects.toThrow()
    await expect(send({ tls: as(stranger) })).rejects.toThrow()
  })

  test('with allow: missing who has none goes on, and acl judges', async () => {
    const rules = 'rules: [{ allow: { principals: [{ kind: mtls }] } }, { allow: { methods: [GET] } }]'
    const { send } = await behind(`{ type: mtls, allow: missing }, { type: acl, ${rules} }`)
    expect((await send({ method: 'POST', tls: as(client) })).status).toBe(200)
    expect((await send({ method: 'POST', tls: as() })).status).toBe(401)
    expect((await send({ tls: as() })).status).toBe(200)
  })

  test.each([
    ['dns: [shop.example]', 200],
    ['uris: ["spiffe://prod/*"]', 200],
    ['uris: ["spiffe://test/*"]', 403],
    ['issuers: ["CN=Clients,O=Example"]', 200],
    ['issuers: ["CN=Foreign,O=Example"]', 403],
    ['commonNames: [other]', 403],
    ['id: common-name, commonNames: [\'shop, "x"\']', 200],
  ])('rules %s: %i', async (rules, status) => {
    const { send } = await behind(`{ type: mtls, ${rules} }`)
    const answer = await send({ tls: as(client) })
    expect(answer.status).toBe(status)
    if (status === 403) expect(answer.code).toBe('GW_AUTH_CERTIFICATE_REFUSED')
  })

  test('over HTTP/2', async () => {
    const { gateway } = await behind('{ type: mtls, id: san-dns }')
    const statusOf = async (issued?: Issued) => {
      const session = connectH2(`https://127.0.0.1:${gateway.port}`, as(issued))
      later(() => session.destroy())
      const stream = session.request({ ':path': '/', ':authority': 'first.example' })
      const [headers] = await once(stream, 'response')
      return (headers as { ':status': number })[':status']
    }
    expect([await statusOf(client), await statusOf(), await statusOf(stranger)]).toEqual([200, 403, 403])
    expect(gateway.records.map(({ httpVersion, principal }) => [httpVersion, principal?.id])).toEqual([
      ['2.0', 'shop.example'],
      ['2.0', undefined],
      ['2.0', undefined],
    ])
  })

  test('for WebSockets', async () => {
    const service = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    later(() => service.close())
    await once(service, 'listening')
    service.on('connection', (socket) => socket.send('hello'))
    const { port } = service.address() as { port: number }
    const gateway = await proxy({
      yaml: oneRoute([port], { route: 'filters: [{ type: mtls }]' }),
      tls: { pairs: [server], clientAuth: { ca: ca.caFile, mode: 'request' } },
    })
    const open = (issued?: Issued) => new WebSocket(`wss://127.0.0.1:${gateway.port}/`, as(issued))
    const [message] = await once(open(client), 'message')
    expect(String(message)).toBe('hello')
    const [, answer] = await once(
      open().on('error', () => {}),
      'unexpected-response',
    )
    expect(answer.statusCode).toBe(403)
  })

  test('a revoked certificate is no certificate', async () => {
    const other = await ca.issue('/CN=other')
    const crl = join(ca.caFile, '../list.crl')
    writeFileSync(crl, await ca.revoke(other))
    const { send, gateway } = await behind('{ type: mtls }', 'request', { crl })
    expect((await send({ tls: as(other) })).status).toBe(403)
    expect((await send({ tls: as(client) })).status).toBe(200)
    const third = await ca.issue('/CN=third')
    expect((await send({ tls: as(third) })).status).toBe(200)
    writeFileSync(crl, await ca.revoke(third))
    expect(gateway.certificates?.reload()).toEqual([])
    expect((await send({ tls: as(third) })).status).toBe(403)
    writeFileSync(crl, 'nothing')
    expect(gateway.certificates?.reload()).toEqual([expect.stringContaining('the old authorities serve on')])
    expect((await send({ tls: as(third) })).status).toBe(403)
  })
})

describe('a TLS session that is taken up again', () => {
  /** Status of one request, and the session to take up. */
  async function ask(port: number, options: object) {
    const socket = connect({ port, host: '127.0.0.1', ALPNProtocols: ['http/1.1'], ...options })
    later(() => socket.destroy())
    const tickets: Buffer[] = []
    socket.on('session', (ticket) => void tickets.push(ticket))
    await once(socket, 'secureConnect')
    const isReused = socket.isSessionReused()
    socket.write('GET / HTTP/1.1\r\nHost: first.example\r\n\r\n')
    const [head] = await once(socket, 'data')
    const session = isReused ? undefined : await waitFor(() => tickets.at(-1), { what: 'a session' })
    socket.destroy()
    return { status: Number(/^HTTP\/1.1 (\d+)/.exec(String(head))?.[1]), session, isReused }
  }

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'says the same of its client as the first one did (%s)',
    async (version) => {
      const { gateway } = await behind('{ type: mtls }')
      for (const [issued, status] of [
        [client, 200],
        [stranger, 403],
        [undefined, 403],
      ] as const) {
        const options = { ...as(issued), maxVersion: version }
        const first = await ask(gateway.port, options)
        const again = await ask(gateway.port, { ...as(), maxVersion: version, session: first.session })
        expect([first.status, again.status, again.isReused]).toEqual([status, status, true])
      }
    },
  )

  test('does not outlive the authority that its client was known by', async () => {
    const file = join(ca.caFile, '../replaced.pem')
    writeFileSync(file, ca.ca)
    const { gateway } = await behind('{ type: mtls }', 'request', { ca: file })
    const first = await ask(gateway.port, as(client))
    expect(first.status).toBe(200)
    writeFileSync(file, foreign.ca)
    expect(gateway.certificates?.reload()).toEqual([])
    const again = await ask(gateway.port, { ...as(client), session: first.session })
    expect([again.status, again.isReused]).toEqual([403, false])
  })
})

test('over a listener in clear there is no certificate', async () => {
  const { send } = await guarded(cleanups, '{ type: mtls }')
  expect(await send()).toMatchObject({ status: 403, code: 'GW_AUTH_CERTIFICATE' })
})

describe('X-Forwarded-Client-Cert', () => {
  const field = () =>
    `Hash=${'00'.repeat(32)};Subject="CN=far",Hash=${client.fingerprint};Subject="CN=near";DNS=a.b`
  const filters = '{ type: mtls, forwarded: true, headers: { x-cn: claims.commonName } }'

  test('from a trusted proxy it is the certificate, and it ends here', async () => {
    const { send } = await guarded(cleanups, filters, { top: 'trustedProxies: [127.0.0.1]' })
    const { status, arrived } = await send({ headers: { 'x-forwarded-client-cert': field() } })
    expect([status, arrived?.headers['x-cn']]).toEqual([200, 'near'])
    expect(arrived?.headers).not.toHaveProperty('x-forwarded-client-cert')
    expect(await send()).toMatchObject({ status: 403, code: 'GW_AUTH_CERTIFICATE' })
  })

  test('the proxy’s own certificate does not stand for a client without one', async () => {
    const { send } = await guarded(cleanups, filters, {
      top: 'trustedProxies: [127.0.0.1]',
      tls: { pairs: [server], clientAuth: { ca: ca.caFile, mode: 'require' } },
    })
    expect(await send({ tls: as(client) })).toMatchObject({ status: 403, code: 'GW_AUTH_CERTIFICATE' })
  })
})

test('with forwarded, who is no trusted proxy is judged by the certificate it has', async () => {
  const { send } = await behind('{ type: mtls, forwarded: true, headers: { x-fp: claims.fingerprint } }')
  const forged = { 'x-forwarded-client-cert': `Hash=${'ab'.repeat(32)}` }
  const { arrived } = await send({ tls: as(client), headers: forged })
  expect(arrived?.headers['x-fp']).toBe(client.fingerprint)
  expect(await send({ tls: as(), headers: forged })).toMatchObject({
    status: 403,
    code: 'GW_AUTH_CERTIFICATE',
  })
})

test('a running gateway takes another authority without a restart, and keeps the last good one', async () => {
  const pair = await opened(tlsFiles('first.example'))
  const port = await freePort()
  const file = join(pair.cert, '../ca.pem')
  writeFileSync(file, ca.ca)
  const gateway = await startGateway({
    yaml: 'routes: [{ name: all, filters: [{ type: mtls }], respond: { status: 200 } }]',
    prepare: (folder) => {
      const path = join(folder, 'sluice.yaml')
      const { cert, key } = pair
      const https = `{ address: "127.0.0.1:${port}", certificates: [{ cert: ${cert}, key: ${key} }], clientAuth: { ca: ${file}, mode: request } }`
      writeFileSync(path, readFileSync(path, 'utf8').replace(/^listen: .*$/m, `listen: { https: ${https} }`))
    },
  })
  later(() => {
    gateway.signal('SIGKILL')
    return gateway.exited()
  })
  const statusOf = async (issued: Issued) => {
    const session = connectH2(`https://127.0.0.1:${port}`, as(issued))
    const stream = session.request({ ':path': '/', ':authority': 'first.example' })
    const [headers] = await once(stream, 'response')
    session.destroy()
    return (headers as { ':status': number })[':status']
  }
  expect([await statusOf(client), await statusOf(stranger)]).toEqual([200, 403])
  writeFileSync(file, foreign.ca)
  await waitFor(async () => (await statusOf(stranger)) === 200, { what: 'the other authority' })
  expect(await statusOf(client)).toBe(403)
  writeFileSync(file, 'nothing')
  await waitFor(() => gateway.output().includes('the old authorities serve on'))
  expect([await statusOf(client), await statusOf(stranger)]).toEqual([403, 200])
})
