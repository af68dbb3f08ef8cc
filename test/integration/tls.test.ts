import { once } from 'node:events'
import { Agent, createServer, request as httpsRequest } from 'node:https'
import { connect as connectTcp } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { describe, expect, test } from 'vitest'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { httpServer } from '../support/scripted-server.ts'
import { type TlsFiles, tlsFiles } from '../support/tls-files.ts'
import { waitFor } from '../support/wait.ts'

const { opened, proxy, later } = useCleanups()
const RESPOND = 'routes: [{ name: a, respond: { status: 200, body: fine } }]'

/** A TLS connection that asks for a name. */
async function tlsTo(port: number, servername: string | undefined): Promise<TLSSocket> {
  const socket = connect({
    port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    ...(servername === undefined ? {} : { servername }),
  })
  later(() => socket.destroy())
  await once(socket, 'secureConnect')
  return socket
}

const nameOf = (socket: TLSSocket) => socket.getPeerCertificate().subject.CN

async function ask(socket: TLSSocket): Promise<string> {
  socket.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  return chunk.toString()
}

describe('towards clients', () => {
  test('the certificate follows the name that the client asks for', async () => {
    const pairs = [
      await opened(tlsFiles('one.example')),
      await opened(tlsFiles('two.example')),
      await opened(tlsFiles('*.wild.example')),
    ]
    const gateway = await proxy({ yaml: RESPOND, tls: { pairs } })
    for (const [asked, expected] of [
      ['one.example', 'one.example'],
      ['TWO.example', 'two.example'],
      ['a.wild.example', '*.wild.example'],
      ['a.b.wild.example', 'one.example'],
      ['unknown.example', 'one.example'],
      [undefined, 'one.example'],
    ] as const) {
      expect([asked, nameOf(await tlsTo(gateway.port, asked))]).toEqual([asked, expected])
    }
  })

  test.each([true, false])(
    'renewed files serve new connections, open ones live on (HTTP/2: %s)',
    async (http2) => {
      const files = await opened(tlsFiles('old.example'))
      const gateway = await proxy({ yaml: RESPOND, tls: { pairs: [files], http2 } })
      const before = await tlsTo(gateway.port, undefined)
      expect(await ask(before)).toMatch(/^HTTP\/1.1 200/)
      await files.renew('new.example')
      expect(gateway.certificates?.reload()).toEqual([])
      expect(nameOf(await tlsTo(gateway.port, undefined))).toBe('new.example')
      expect(nameOf(await tlsTo(gateway.port, 'new.example'))).toBe('new.example')
      expect(await ask(before)).toMatch(/^HTTP\/1.1 200/)
    },
  )

  test('files that do not fit together are reported, and the old pair serves on', async () => {
    const files = await opened(tlsFiles('old.example'))
    const other = await opened(tlsFiles('other.example'))
    const pair = { cert: files.cert, key: files.key }
    const gateway = await proxy({ yaml: RESPOND, tls: { pairs: [pair] } })
    const { writeFile } = await import('node:fs/promises')
    await writeFile(files.cert, other.ca)
    expect(gateway.certificates?.reload()).toHaveLength(1)
    expect(nameOf(await tlsTo(gateway.port, undefined))).toBe('old.example')
  })

  test('TLS 1.1 and clear text are turned away', async () => {
    const files = await opened(tlsFiles('shop.example'))
    const gateway = await proxy({ yaml: RESPOND, tls: { pairs: [files] } })
    const old = connect({
      port: gateway.port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      minVersion: 'TLSv1.1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    })
    await expect(once(old, 'secureConnect')).rejects.toThrow()
    const clear = connectTcp(gateway.port, '127.0.0.1')
    later(() => clear.destroy())
    clear.on('error', () => {})
    let text = ''
    clear.on('data', (chunk) => {
      text += chunk.toString('latin1')
    })
    clear.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
    await once(clear, 'close')
    expect(text).not.toContain('HTTP/1.1')
    expect(await ask(await tlsTo(gateway.port, undefined))).toMatch(/^HTTP\/1.1 200/)
  })

  test('limits on headers and time hold over TLS, too', async () => {
    const files = await opened(tlsFiles('shop.example'))
    const yaml = `limits: { headersTimeout: 200ms, headerBytes: 1000B, urlBytes: 100B }\n${RESPOND}`
    const gateway = await proxy({ yaml, tls: { pairs: [files] } })
    const large = await tlsTo(gateway.port, undefined)
    large.write(`GET / HTTP/1.1\r\nHost: a.example\r\nX-A: ${'a'.repeat(5000)}\r\n\r\n`)
    expect(String((await once(large, 'data'))[0])).toMatch(/^HTTP\/1.1 431/)
    const slow = await tlsTo(gateway.port, undefined)
    slow.write('GET / HTTP/1.1\r\n')
    expect(String((await once(slow, 'data'))[0])).toMatch(/^HTTP\/1.1 408/)
    expect(gateway.malformed).toEqual(['GW_REQUEST_HEADERS_TOO_LARGE', 'GW_REQUEST_TIMEOUT'])
  })
})

describe('towards instances', () => {
  /** An HTTPS service; `names` collects the SNI of each connection. */
  async function secureService(files: TlsFiles) {
    const names: (string | false | null)[] = []
    const server = createServer({ cert: files.ca, key: files.keyText }, (request, response) => {
      names.push((request.socket as TLSSocket).servername)
      response.end(request.headers.host)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    later(() => {
      server.closeAllConnections()
      server.close()
    })
    return { names, port: (server.address() as { port: number }).port }
  }

  test('a certificate of nobody we trust: 502 without the reason, and never a byte of the request', async () => {
    const service = await secureService(await opened(tlsFiles('inner.example')))
    const gateway = await proxy(
      oneRoute([service.port], { scheme: 'https', service: 'tls: { serverName: inner.example }' }),
    )
    const response = await fetch(gateway.url)
    expect([response.status, (await response.json()) as object]).toMatchObject([
      502,
      { code: 'GW_UPSTREAM_TLS', title: 'No trusted connection to the service' },
    ])
    expect(service.names).toEqual([])
    expect((await gateway.record()).outcome).toBe('tls_failed')
  })

  test('the right authority and the right name: SNI is the configured one, Host the client’s', async () => {
    const files = await opened(tlsFiles('inner.example'))
    const service = await secureService(files)
    const yaml = oneRoute([service.port], {
      scheme: 'https',
      service: `tls: { ca: ${files.cert}, serverName: inner.example }`,
    })
    const gateway = await proxy(yaml)
    const response = await fetch(gateway.url)
    expect([response.status, await response.text()]).toEqual([200, `127.0.0.1:${gateway.port}`])
    expect(service.names).toEqual(['inner.example'])
  })

  test('the right authority and another name: 502', async () => {
    const files = await opened(tlsFiles('inner.example'))
    const service = await secureService(files)
    const yaml = oneRoute([service.port], {
      scheme: 'https',
      service: `tls: { ca: ${files.cert}, serverName: other.example }`,
    })
    expect((await fetch((await proxy(yaml)).url)).status).toBe(502)
    expect(service.names).toEqual([])
  })

  test('without a configured name the route’s Host is asked for and checked', async () => {
    const files = await opened(tlsFiles('inner.example'))
    const service = await secureService(files)
    const yaml = oneRoute([service.port], {
      scheme: 'https',
      route: 'host: inner.example',
      service: `tls: { ca: ${files.cert} }`,
    })
    expect(await (await fetch((await proxy(yaml)).url)).text()).toBe('inner.example')
    expect(service.names).toEqual(['inner.example'])
  })

  test('without a check anything goes, because it was asked for', async () => {
    const service = await secureService(await opened(tlsFiles('inner.example')))
    const yaml = oneRoute([service.port], { scheme: 'https', service: 'tls: { verify: false }' })
    expect((await fetch((await proxy(yaml)).url)).status).toBe(200)
  })

  test('TLS in and TLS out, over kept-alive connections', async () => {
    const files = await opened(tlsFiles('inner.example'))
    const service = await secureService(files)
    const yaml = oneRoute([service.port], {
      scheme: 'https',
      service: `tls: { ca: ${files.cert}, serverName: inner.example }`,
    })
    const gateway = await proxy({ yaml, tls: { pairs: [files] } })
    const agent = new Agent({ keepAlive: true, ca: files.ca, servername: 'inner.example' })
    later(() => agent.destroy())
    for (let i = 0; i < 20; i++) {
      const outgoing = httpsRequest(gateway.url, { agent })
      outgoing.end()
      const [response] = await once(outgoing, 'response')
      response.resume()
      await once(response, 'end')
      expect(response.statusCode).toBe(200)
    }
  })
})

test('what is closed is closed: no listener, no connection is left', async () => {
  const server = await opened(httpServer((_request, response) => response.end('fine')))
  const gateway = await proxy(oneRoute([server.port]))
  await (await fetch(gateway.url)).text()
  await gateway.server.close()
  await expect(fetch(gateway.url)).rejects.toThrow()
  await waitFor(async () => (await gateway.server.connections()) === 0)
})
