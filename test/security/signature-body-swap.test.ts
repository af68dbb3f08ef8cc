import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineFilter } from '../../src/filters/filter.ts'
import { useCleanups } from '../support/cleanup.ts'
import { guarded } from '../support/guarded.ts'
import { rawExchange } from '../support/raw.ts'
import { digestOf, SECRET, signed } from '../support/sign.ts'

const cleanups = useCleanups()
const filter = (own = '') =>
  `{ type: hmac, keys: [{ id: k1, algorithm: hmac-sha256, secret: "${SECRET}" }], replay: off, ${own} }`

test('another body under the same signature', async () => {
  const { send } = await guarded(cleanups, filter())
  const request = signed({ method: 'POST', body: 'pay 10' })
  expect((await send(request)).arrived?.body).toBe('pay 10')
  const swapped = { status: 400, code: 'GW_AUTH_DIGEST', arrived: undefined }
  expect(await send({ ...request, body: 'pay 99' })).toMatchObject(swapped)
  expect(await send({ ...request, body: '' })).toMatchObject(swapped)
  expect(await send({ ...request, body: 'pay 10 ' })).toMatchObject(swapped)
})

test('another body with another digest: that one is not signed', async () => {
  const { send } = await guarded(cleanups, filter())
  const request = signed({ method: 'POST', body: 'pay 10' })
  const headers = { ...request.headers, 'content-digest': digestOf('pay 99') }
  expect(await send({ ...request, body: 'pay 99', headers })).toMatchObject({
    status: 401,
    code: 'GW_AUTH_SIGNATURE',
  })
})

test('a body added to a request that was signed without one', async () => {
  const { send } = await guarded(cleanups, filter())
  const request = signed({ method: 'POST' })
  expect((await send(request)).status).toBe(200)
  for (const headers of [request.headers, { ...request.headers, 'content-digest': digestOf('pay 99') }]) {
    const answer = await send({ ...request, headers, body: 'pay 99' })
    expect(answer).toMatchObject({ status: 401, code: 'GW_AUTH_SIGNATURE', arrived: undefined })
  }
})

test('a chunked body added to it', async () => {
  const { gateway, count } = await guarded(cleanups, filter())
  const { headers } = signed({ method: 'POST' })
  const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const head = `POST / HTTP/1.1\r\nHost: a.example\r\n${fields.join('')}Transfer-Encoding: chunked\r\n\r\n`
  expect((await rawExchange(gateway.port, `${head}6\r\npay 99\r\n0\r\n\r\n`)).status).toBe(401)
  expect(count()).toBe(0)
})

test('digests of which one is right and one wrong, and digests that nobody can check', async () => {
  const { send } = await guarded(cleanups, filter())
  for (const field of [`${digestOf('pay 10')}, sha-512=:AAAA:`, 'md5=:AAAA:', 'sha-256="x"', '']) {
    const request = signed({ method: 'POST', body: 'pay 10', headers: { 'content-digest': field } })
    expect(await send(request)).toMatchObject({ status: 400, code: 'GW_AUTH_DIGEST', arrived: undefined })
  }
})

test('where a digest is not asked for, one that is signed is checked all the same', async () => {
  const { send } = await guarded(cleanups, filter('digest: false'))
  const bare = signed({ method: 'POST', body: 'x' }, { cover: ['@method', '@target-uri'] })
  expect((await send(bare)).status).toBe(200)
  expect(await send({ ...signed({ method: 'POST', body: 'x' }), body: 'y' })).toMatchObject({
    code: 'GW_AUTH_DIGEST',
  })
})

test('what is appended to a body of which a filter in front read just the signed part', async () => {
  const peek = defineFilter({
    name: 'peek',
    summary: 'Looks at the first ten bytes.',
    options: z.strictObject({}),
    create: () => ({ inbound: () => undefined, needsBody: { maxBytes: 10, whenLarger: 'prefix' as const } }),
  })
  const { send } = await guarded(cleanups, `{ type: peek }, ${filter('maxBody: 10')}`, {
    definitions: [peek],
  })
  const request = signed({ method: 'POST', body: '0123456789' })
  expect((await send(request)).status).toBe(200)
  const longer = await send({ ...request, body: '0123456789 and pay 99' })
  expect(longer).toMatchObject({ status: 413, code: 'GW_REQUEST_BODY_TOO_LARGE', arrived: undefined })
})
