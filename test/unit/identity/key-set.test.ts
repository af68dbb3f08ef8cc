import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { ASYMMETRIC_ALGORITHMS } from '../../../src/core/token-algorithms.ts'
import { parseJwks, secretKeySet } from '../../../src/identity/key-set.ts'
import { jwksOf, makeKey } from '../../support/tokens.ts'

const es = makeKey('ES256', 'a')
const ed = makeKey('EdDSA', 'b')
const parse = (keys: unknown) => parseJwks(Buffer.from(JSON.stringify({ keys })))

describe('a JWK set', () => {
  test('gives the keys that fit by name and algorithm', async () => {
    const { set, dropped } = await parseJwks(Buffer.from(jwksOf(es, ed)))
    expect(dropped).toEqual([])
    expect(set.candidates('ES256', 'a')).toHaveLength(1)
    expect(set.candidates('EdDSA', 'a')).toEqual([])
    expect(set.candidates('ES256', 'c')).toEqual([])
    expect(set.candidates('ES256', undefined)).toHaveLength(1)
  })

  test('keys without a name stand in for a name that is not there', async () => {
    const { set } = await parse([{ ...es.jwk, kid: undefined }])
    expect(set.candidates('ES256', 'whatever')).toHaveLength(1)
  })

  test('two keys of one name are both tried', async () => {
    const { set } = await parse([es.jwk, { ...makeKey('ES256', 'a').jwk }])
    expect(set.candidates('ES256', 'a')).toHaveLength(2)
  })

  test('a key that is made for one algorithm is used for no other', async () => {
    const rsa = makeKey('RS256', 'r')
    const { set } = await parse([rsa.jwk])
    expect(set.candidates('RS256', 'r')).toHaveLength(1)
    expect(set.candidates('PS256', 'r')).toEqual([])
  })

  const short = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' })
  test.each([
    ['a symmetric key', { kty: 'oct', k: 'c2VjcmV0', kid: 'x' }, 'kty'],
    ['a key for encryption', { ...ed.jwk, use: 'enc' }, 'use'],
    ['a key that may not verify', { ...ed.jwk, key_ops: ['sign'] }, 'key_ops'],
    ['a point that is on no curve', { ...es.jwk, x: es.jwk['y'] }, 'cannot be read'],
    ['an RSA key of 1024 bits', { ...short, kid: 'x' }, '2048'],
    ['a key for encryption by its algorithm', { ...es.jwk, alg: 'ECDH-ES' }, 'no known algorithm'],
    ['a key of another curve than its algorithm', { ...es.jwk, alg: 'ES384' }, 'no known algorithm'],
    ['a key of a curve that nobody signs with', { ...es.jwk, crv: 'secp256k1' }, 'curve'],
    ['a curve of another type', { ...es.jwk, crv: 'Ed25519' }, 'cannot be read'],
    ['a curve of the prototype', { ...es.jwk, crv: 'constructor' }, 'curve'],
    ['a kid that is a number', { ...es.jwk, kid: 1 }, 'kid'],
    ['a text', 'x', 'no object'],
    ['kty of the prototype', { kty: 'constructor' }, 'kty'],
  ])('%s is left out and said; the others stay', async (_, bad, why) => {
    const { set, dropped } = await parse([bad, ed.jwk])
    expect(set.keys.map(({ kid }) => kid)).toEqual(['b'])
    expect(dropped.join()).toContain(why)
  })

  test.each([
    ['no JSON', '<html>'],
    ['no set', '{"keys":{}}'],
    ['an empty set', '{"keys":[]}'],
    ['only useless keys', '{"keys":[{"kty":"oct","k":"AAAA"}]}'],
    ['keys twice', '{"keys":[],"keys":[]}'],
  ])('%s is refused as a whole', async (_, text) => {
    await expect(parseJwks(Buffer.from(text))).rejects.toMatchObject({ code: 'GW_IDENTITY_KEYS' })
  })

  test('a key that names no algorithm is used for each that fits its kind', async () => {
    const kinds = ['RS256', 'ES256', 'ES384', 'ES512', 'EdDSA'].map((alg) => makeKey(alg, alg))
    const { set, dropped } = await parse(kinds.map(({ jwk }) => ({ ...jwk, alg: undefined })))
    expect(dropped).toEqual([])
    const fitting = (kid: string) =>
      ASYMMETRIC_ALGORITHMS.filter((alg) => set.candidates(alg, kid).length === 1).join()
    expect(fitting('RS256')).toBe('RS256,RS384,RS512,PS256,PS384,PS512')
    for (const alg of ['ES256', 'ES384', 'ES512']) expect(fitting(alg)).toBe(alg)
    expect(fitting('EdDSA')).toBe('EdDSA,Ed25519')
  })

  test('a private key in it is used as the public one', async () => {
    const priv = ed.privateKey.export({ format: 'jwk' })
    const { set } = await parse([{ ...priv, kid: 'b' }])
    expect(set.keys[0]?.key.type).toBe('public')
  })

  test('the same key has the same id whatever it is called', async () => {
    const first = (await parse([es.jwk])).set.keys[0]?.id ?? ''
    expect((await parse([{ ...es.jwk, kid: 'z' }])).set.has(first)).toBe(true)
    expect((await parse([ed.jwk])).set.has(first)).toBe(false)
  })
})

test('a shared secret is used whatever kid the token names', () => {
  const set = secretKeySet('s'.repeat(32))
  expect(set.candidates('HS256', 'any')).toHaveLength(1)
  expect(set.candidates('RS256', 'any')).toEqual([])
  expect(set.candidates('HS512', undefined)).toEqual([])
})
