import { generateKeyPairSync, sign } from 'node:crypto'
import { expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { guarded } from '../support/guarded.ts'
import { nowSeconds, SECRET, signed } from '../support/sign.ts'

const cleanups = useCleanups()
const filter = (own = '') =>
  `{ type: hmac, keys: [{ id: k1, algorithm: hmac-sha256, secret: "${SECRET}" }], ${own} }`
const REPLAYED = { status: 401, code: 'GW_AUTH_REPLAYED', arrived: undefined }

test('a request that was signed once passes once', async () => {
  const { send, count } = await guarded(cleanups, filter())
  const request = signed({ method: 'POST', body: 'pay 10' })
  expect((await send(request)).status).toBe(200)
  expect(await send(request)).toMatchObject(REPLAYED)
  expect(count()).toBe(1)
})

test('of many copies at once one passes', async () => {
  const { send, count } = await guarded(cleanups, filter())
  const request = signed({ method: 'POST', body: 'pay 10' })
  const answers = await Promise.all(Array.from({ length: 10 }, () => send(request)))
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
  expect(count()).toBe(1)
})

test('another label, fields that are not signed, and other white space make no new request of it', async () => {
  const { send } = await guarded(cleanups, filter())
  const request = signed()
  expect((await send(request)).status).toBe(200)
  const { 'signature-input': input = '', signature = '' } = request.headers
  const relabelled = {
    'signature-input': input.replace('sig=', 'b='),
    signature: signature.replace('sig=', 'b='),
  }
  expect(await send({ ...request, headers: relabelled })).toMatchObject(REPLAYED)
  const more = { ...request.headers, 'x-more': '1', 'signature-input': `  ${input}` }
  expect(await send({ ...request, headers: more })).toMatchObject(REPLAYED)
})

test('a nonce that was used makes a newly signed request old', async () => {
  const { send } = await guarded(cleanups, filter('nonce: true'))
  const params = `;created=${nowSeconds()};keyid="k1";nonce="n-1"`
  expect((await send(signed({ path: '/1' }, { params }))).status).toBe(200)
  expect(await send(signed({ path: '/2' }, { params }))).toMatchObject(REPLAYED)
  expect((await send(signed({ path: '/2' }, { params: params.replace('n-1', 'n-2') }))).status).toBe(200)
  expect(await send(signed({ path: '/3' }))).toMatchObject({ status: 401, code: 'GW_AUTH_SIGNATURE' })
})

test('the second form that every ECDSA signature has is the same signature', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
  const keys = JSON.stringify([{ id: 'k1', algorithm: 'ecdsa-p256-sha256', publicKey: pem }])
  const { send, count } = await guarded(cleanups, `{ type: hmac, keys: ${keys} }`)
  const request = signed(
    {},
    { sign: (base) => sign('sha256', base, { key: privateKey, dsaEncoding: 'ieee-p1363' }) },
  )
  expect((await send(request)).status).toBe(200)
  const bytes = Buffer.from(/:(.+):/.exec(request.headers['signature'] ?? '')?.[1] ?? '', 'base64')
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
  const s = (order - BigInt(`0x${bytes.toString('hex', 32)}`)).toString(16).padStart(64, '0')
  const mirrored = Buffer.concat([bytes.subarray(0, 32), Buffer.from(s, 'hex')]).toString('base64')
  const headers = { ...request.headers, signature: `sig=:${mirrored}:` }
  expect(await send({ ...request, headers })).toMatchObject(REPLAYED)
  expect(count()).toBe(1)
})

test.each([
  ['long ago', () => nowSeconds() - 400, 'GW_AUTH_EXPIRED'],
  ['in the future', () => nowSeconds() + 120, 'GW_AUTH_SIGNATURE'],
])('signed %s: refused, whether it was used or not', async (_when, created, code) => {
  const { send } = await guarded(cleanups, filter('replay: off'))
  const request = signed({}, { params: `;created=${created()};keyid="k1"` })
  expect(await send(request)).toMatchObject({ status: 401, code, arrived: undefined })
})

test('an edit of other options does not make used signatures fresh', async () => {
  const { send, swap } = await guarded(cleanups, filter())
  const request = signed()
  expect((await send(request)).status).toBe(200)
  await swap(filter('maxAge: 10m'))
  expect(await send(request)).toMatchObject(REPLAYED)
})

test('a request that was refused for its body does not use the signature up', async () => {
  const { send } = await guarded(cleanups, filter())
  const request = signed({ method: 'POST', body: 'right' })
  expect(await send({ ...request, body: 'wrong' })).toMatchObject({ code: 'GW_AUTH_DIGEST' })
  expect((await send(request)).status).toBe(200)
})
