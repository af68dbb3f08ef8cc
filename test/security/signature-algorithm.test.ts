import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { guarded } from '../support/guarded.ts'
import { nowSeconds, SECRET, signed } from '../support/sign.ts'

const cleanups = useCleanups()
const REFUSED = { status: 401, code: 'GW_AUTH_SIGNATURE', arrived: undefined }
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString()
const filter = () =>
  `{ type: hmac, replay: off, keys: ${JSON.stringify([
    { id: 'k1', algorithm: 'hmac-sha256', secret: SECRET },
    { id: 'r1', algorithm: 'rsa-pss-sha512', publicKey: pem },
  ])} }`
const params = (keyid: string, alg?: string) =>
  `;created=${nowSeconds()};keyid="${keyid}"${alg === undefined ? '' : `;alg="${alg}"`}`

test('the alg of the request never chooses: it may only repeat the key’s own', async () => {
  const { send } = await guarded(cleanups, filter())
  expect((await send(signed({}, { params: params('k1', 'hmac-sha256') }))).status).toBe(200)
  for (const alg of ['none', '', 'HMAC-SHA256', 'hmac-sha1', 'ed25519', 'rsa-pss-sha512', 'nonsense']) {
    expect(await send(signed({}, { params: params('k1', alg) }))).toMatchObject(REFUSED)
  }
})

test('a public key is no shared secret', async () => {
  const { send } = await guarded(cleanups, filter())
  const der = rsa.publicKey.export({ type: 'spki', format: 'der' })
  for (const secret of [pem, pem.trim(), der]) {
    const byPublicKey = (base: Buffer) => createHmac('sha256', secret).update(base).digest()
    for (const alg of ['hmac-sha256', undefined]) {
      expect(await send(signed({}, { params: params('r1', alg), sign: byPublicKey }))).toMatchObject(REFUSED)
    }
  }
})

test('a weaker padding of the same key', async () => {
  const { send } = await guarded(cleanups, filter())
  for (const hash of ['sha256', 'sha512', 'sha1']) {
    const bySigner = (base: Buffer) => sign(hash, base, rsa.privateKey)
    expect(await send(signed({}, { params: params('r1'), sign: bySigner }))).toMatchObject(REFUSED)
  }
})

test.each([0, 1, 31, 33, 256])('a signature of %i bytes', async (length) => {
  const { send } = await guarded(cleanups, filter())
  for (const keyid of ['k1', 'r1']) {
    const request = signed({}, { params: params(keyid), sign: () => Buffer.alloc(length) })
    expect(await send(request)).toMatchObject(REFUSED)
  }
})

test('no key, an unknown key, and names that every object has', async () => {
  const { send } = await guarded(cleanups, filter())
  const details = new Set<string | undefined>()
  for (const keyid of ['nobody', '', '__proto__', 'constructor', 'toString']) {
    const answer = await send(signed({}, { params: params(keyid) }))
    expect(answer).toMatchObject(REFUSED)
    details.add(answer.detail)
  }
  details.add((await send(signed({}, { params: params('k1'), sign: () => Buffer.alloc(32) }))).detail)
  expect(await send(signed({}, { params: `;created=${nowSeconds()}` }))).toMatchObject(REFUSED)
  // Whether a key exists is not told.
  expect(details.size).toBe(1)
})
