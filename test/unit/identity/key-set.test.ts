import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { parseJwks, secretKeySet } from '../../../src/identity/key-set.ts'
import { jwksOf, makeKey } from '../../support/tokens.ts'

const es = makeKey('ES256', 'a')
const ed = makeKey('EdDSA', 'b')
const parse = (keys: unknown) => parseJwks(Buffer.from(JSON.stringify({ keys })))

describe('a JWK set', () => {
  test('gives the keys that fit by name and algorithm', () => {
    const { set, dropped } = parseJwks(Buffer.from(jwksOf(es, ed)))
    expect(dropped).toEqual([])
    expect(set.candidates('ES256', 'a')).toHaveLength(1)
    expect(set.candidates('EdDSA', 'a')).toEqual([])
    expect(set.candidates('ES256', 'c')).toEqual([])
    expect(set.candidates('ES256', undefined)).toHaveLength(1)
  })

  test('keys without a name stand in for a name that is not there', () => {
    const { set } = parse([{ ...es.jwk, kid: undefined }])
    expect(set.candidates('ES256', 'whatever')).toHaveLength(1)
  })

  test('two keys of one name are both tried', () => {
    const { set } = parse([es.jwk, { ...makeKey('ES256', 'a').jwk }])
    expect(set.candidates('ES256', 'a')).toHaveLength(2)
  })

  test('a key that is made for one algorithm is used for no other', () => {
    const rsa = makeKey('RS256', 'r')
    const { set } = parse([rsa.jwk])
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
    ['a kid that is a number', { ...es.jwk, kid: 1 }, 'kid'],
    ['a text', 'x', 'no object'],
    ['kty of the prototype', { kty: 'constructor' }, 'kty'],
  ])('%s is left out and said; the others stay', (_, bad, why) => {
    const { set, dropped } = parse([bad, ed.jwk])
    expect(set.keys.map(({ kid }) => kid)).toEqual(['b'])
    expect(dropped.join()).toContain(why)
  })

  test.each([
    ['no JSON', '<html>'],
    ['no set', '{"keys":{}}'],
    ['an empty set', '{"keys":[]}'],
    ['only useless keys', '{"keys":[{"kty":"oct","k":"AAAA"}]}'],
    ['keys twice', '{"keys":[],"keys":[]}'],
  ])('%s is refused as a whole', (_, text) => {
    expect(() => parseJwks(Buffer.from(text))).toThrow(expect.objectContaining({ code: 'GW_IDENTITY_KEYS' }))
  })

  test('a private key in it is used as the public one', () => {
    const priv = ed.privateKey.export({ format: 'jwk' })
    const { set } = parse([{ ...priv, kid: 'b' }])
    expect(set.keys[0]?.key.type).toBe('public')
  })

  test('the same key has the same id whatever it is called', () => {
    const first = parse([es.jwk]).set.keys[0]?.id ?? ''
    expect(parse([{ ...es.jwk, kid: 'z' }]).set.has(first)).toBe(true)
    expect(parse([ed.jwk]).set.has(first)).toBe(false)
  })
})

test('a shared secret is used whatever kid the token names', () => {
  const set = secretKeySet('s'.repeat(32))
  expect(set.candidates('HS256', 'any')).toHaveLength(1)
  expect(set.candidates('RS256', 'any')).toEqual([])
  expect(set.candidates('HS512', undefined)).toEqual([])
})
