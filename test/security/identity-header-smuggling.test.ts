import { expect, test } from 'vitest'
import { keyDigest } from '../../src/identity/key-ring.ts'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { rawExchange } from '../support/raw.ts'
import { wireTap } from '../support/wire.ts'

const { opened, proxy } = useCleanups()
const KEY = 'sk_0123456789abcdef0123456789abcdef'

async function setUp(own = '') {
  const tap = await opened(wireTap())
  const filter = `{ type: api-key, keys: [{ id: k1, sha256: "${keyDigest(KEY)}", owner: shop }], headers: { x-user: id, x-plan: claims.plan }, ${own} }`
  const base = oneRoute([tap.port], { route: `filters: [${filter}]` })
  const open = '  - { name: open, match: { pathPrefix: /open }, service: shop }\n'
  const gateway = await proxy(`${base.trimEnd()}\n${open}`)
  return {
    /** What arrives of these fields, by lines. */
    async send(path: string, fields: string) {
      tap.forget()
      const { status } = await rawExchange(
        gateway.port,
        `GET ${path} HTTP/1.1\r\nHost: a.example\r\n${fields}\r\n`,
      )
      return { status, seen: tap.seen().toLowerCase() }
    },
  }
}

const FORGED = [
  'X-User: admin',
  'x-user: admin',
  'X_User: admin',
  'x-USER: admin\r\nX-User: admin',
  'X-Plan: admin',
  'x_plan: admin',
]

test.each(FORGED)('%j does not get through with a key', async (fields) => {
  const { send } = await setUp()
  const { status, seen } = await send('/', `X-API-Key: ${KEY}\r\n${fields}\r\n`)
  expect(status).toBe(200)
  expect(seen).not.toContain('admin')
  expect(seen.match(/^x-user: shop/gm)).toHaveLength(1)
})

test.each(FORGED)('%j does not get through where no key is needed, nor on another route', async (fields) => {
  const { send } = await setUp('allow: missing')
  for (const path of ['/', '/open']) {
    const { status, seen } = await send(path, `${fields}\r\n`)
    expect(status).toBe(200)
    expect(seen).not.toContain('admin')
  }
})

test('Connection cannot take away what the filter writes', async () => {
  const { send } = await setUp()
  const { seen } = await send('/', `X-API-Key: ${KEY}\r\nConnection: close, x-user, x-plan\r\n`)
  expect(seen).toContain('x-user: shop')
})

test('Connection cannot hide the credentials from the filter and show them to the service', async () => {
  const { send } = await setUp('allow: missing')
  const { seen } = await send('/', `X-API-Key: ${KEY}\r\nConnection: x-api-key\r\n`)
  expect(seen).not.toContain(KEY)
})
