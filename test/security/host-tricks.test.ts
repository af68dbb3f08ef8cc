import { beforeEach, describe, expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import type { RunningProxy } from '../support/proxy.ts'
import { rawExchange } from '../support/raw.ts'
import { type WireTap, wireTap } from '../support/wire.ts'

const { opened, proxy } = useCleanups()
let open: WireTap
let secret: WireTap
let gateway: RunningProxy

beforeEach(async () => {
  open = await opened(wireTap('open'))
  secret = await opened(wireTap('secret'))
  gateway = await proxy(`
services:
  open: { upstreams: ["http://127.0.0.1:${open.port}"] }
  secret: { upstreams: ["http://127.0.0.1:${secret.port}"] }
routes:
  - { name: open, match: { hosts: [open.example], pathPrefix: / }, service: open }
  - { name: secret, match: { hosts: [secret.example], pathPrefix: / }, service: secret }
`)
})

const send = (head: string) => rawExchange(gateway.port, `${head}\r\n\r\n`)

describe('which host a request is for can be read in one way only', () => {
  test.each([
    ['no Host', 'GET / HTTP/1.1'],
    ['no Host in HTTP/1.0', 'GET / HTTP/1.0'],
    ['an empty Host', 'GET / HTTP/1.1\r\nHost:'],
    ['two Hosts', 'GET / HTTP/1.1\r\nHost: open.example\r\nHost: secret.example'],
    ['two equal Hosts', 'GET / HTTP/1.1\r\nHost: open.example\r\nHost: open.example'],
    ['a list', 'GET / HTTP/1.1\r\nHost: open.example, secret.example'],
    ['user info', 'GET / HTTP/1.1\r\nHost: open.example@secret.example'],
    ['user info and password', 'GET / HTTP/1.1\r\nHost: open.example:80@secret.example'],
    ['a path', 'GET / HTTP/1.1\r\nHost: open.example/secret.example'],
    ['a query', 'GET / HTTP/1.1\r\nHost: open.example?secret.example'],
    ['a fragment', 'GET / HTTP/1.1\r\nHost: open.example#secret.example'],
    ['a backslash', 'GET / HTTP/1.1\r\nHost: open.example\\secret.example'],
    ['a space', 'GET / HTTP/1.1\r\nHost: open.example secret.example'],
    ['a tab', 'GET / HTTP/1.1\r\nHost: open.example\tsecret.example'],
    ['an escape', 'GET / HTTP/1.1\r\nHost: open.example%2esecret.example'],
    ['letters as a port', 'GET / HTTP/1.1\r\nHost: open.example:http'],
    ['two ports', 'GET / HTTP/1.1\r\nHost: open.example:80:80'],
    ['two dots', 'GET / HTTP/1.1\r\nHost: open..example'],
    ['a scheme', 'GET / HTTP/1.1\r\nHost: http://open.example'],
    [
      'an absolute target with user info',
      'GET http://open.example@secret.example/ HTTP/1.1\r\nHost: open.example',
    ],
    ['an absolute target without a host', 'GET http:///x HTTP/1.1\r\nHost: open.example'],
    ['another scheme', 'GET ftp://secret.example/ HTTP/1.1\r\nHost: open.example'],
    ['a file', 'GET file:///etc/passwd HTTP/1.1\r\nHost: open.example'],
    ['a target that is neither path nor URL', 'GET secret.example HTTP/1.1\r\nHost: open.example'],
    ['an at sign', 'GET @secret.example/ HTTP/1.1\r\nHost: open.example'],
    ['* for another method', 'GET * HTTP/1.1\r\nHost: open.example'],
  ])('%s: 400', async (_name, head) => {
    expect((await send(head)).status).toBe(400)
    expect([open.seen(), secret.seen()]).toEqual(['', ''])
  })

  test('an absolute target wins over Host, and the service is told that one host', async () => {
    const answer = await send('GET http://open.example/x HTTP/1.1\r\nHost: secret.example')
    expect(answer).toMatchObject({ status: 200, body: 'open' })
    expect(open.requestLines()).toEqual(['GET /x HTTP/1.1'])
    expect(open.seen()).not.toContain('secret.example')
    expect(open.seen()).toMatch(/\r\nhost: open\.example\r\n/i)
  })

  test('a target that begins with two slashes is a path', async () => {
    await send('GET //secret.example/x HTTP/1.1\r\nHost: open.example')
    expect(open.requestLines()).toEqual(['GET /secret.example/x HTTP/1.1'])
    expect(secret.seen()).toBe('')
  })

  test.each(['OPEN.EXAMPLE', 'open.example.', 'open.example:8080', 'Open.Example.:80'])(
    'Host: %s is open.example',
    async (host) => {
      expect(await send(`GET / HTTP/1.1\r\nHost: ${host}`)).toMatchObject({ status: 200, body: 'open' })
    },
  )

  test.each(['X-Forwarded-Host', 'X-Host', 'Forwarded', 'X-Original-Host', ':authority'])(
    '%s does not choose the host',
    async (name) => {
      const value = name === 'Forwarded' ? 'host=secret.example' : 'secret.example'
      await send(`GET / HTTP/1.1\r\nHost: open.example\r\n${name}: ${value}`)
      expect(secret.seen()).toBe('')
    },
  )
})
