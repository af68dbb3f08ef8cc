import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { expect, test } from 'vitest'
import { Headers } from '../../../src/core/headers.ts'
import { checkContentDigest } from '../../../src/identity/content-digest.ts'
import { placed } from '../../../src/identity/entry-file.ts'
import { ReplayMemory } from '../../../src/identity/replay-memory.ts'
import {
  type MessageSignature,
  parseSignatures,
  type SignedMessage,
  signatureBase,
} from '../../../src/identity/signature-base.ts'
import { checkSignature, type SignaturePolicy } from '../../../src/identity/signature-check.ts'
import { createSignatureKeys, signatureKeySchema } from '../../../src/identity/signature-keys.ts'
import { ECDSA_VECTOR, RFC_BODY, RFC_CREATED, RFC_KEYS, rfcRequest, VECTORS } from '../../support/rfc9421.ts'

const keysOf = (entries: readonly object[]) =>
  createSignatureKeys(
    placed(
      'keys',
      entries.map((entry) => signatureKeySchema.parse(entry)),
    ),
  )
const KEYS = keysOf(RFC_KEYS)
const NOW = RFC_CREATED * 1000 + 1000
const POLICY: SignaturePolicy = {
  required: [],
  label: undefined,
  tag: undefined,
  maxAgeMs: 300_000,
  skewMs: 30_000,
  needsNonce: false,
}

const only = (message: SignedMessage) =>
  (parseSignatures(message.headers) as MessageSignature[])[0] as MessageSignature
const withInput = (input: string, own: Partial<SignedMessage> = {}) => ({
  ...rfcRequest(`sig=${input}`, 'sig=:AA==:'),
  ...own,
})
const baseOf = (input: string, own: Partial<SignedMessage> = {}) => {
  const message = withInput(input, own)
  const base = signatureBase(message, only(message))
  return typeof base === 'string' ? { missing: base } : base.toString('latin1')
}

test.each(VECTORS)('RFC 9421 $name: base and signature', ({ label, input, signature, base, key }) => {
  const message = rfcRequest(`${label}=${input}`, `${label}=:${signature}:`)
  const parsed = only(message)
  expect(signatureBase(message, parsed).toString()).toBe(base)
  const answer = checkSignature(message, parsed, KEYS, POLICY, NOW)
  expect(answer).toMatchObject({ key: { id: key } })
})

test.each(VECTORS)('RFC 9421 $name: one changed bit is refused', ({ label, input, signature }) => {
  const bytes = Buffer.from(signature, 'base64')
  bytes[5] = (bytes[5] as number) ^ 1
  const message = rfcRequest(`${label}=${input}`, `${label}=:${bytes.toString('base64')}:`)
  expect(checkSignature(message, only(message), KEYS, POLICY, NOW)).toMatchObject({
    code: 'GW_AUTH_SIGNATURE',
  })
})

test('RFC 9421 B.2.4: ECDSA P-256 over the published bytes', () => {
  const key = KEYS.get('test-key-ecc-p256')
  const signature = Buffer.from(ECDSA_VECTOR.signature, 'base64')
  expect(key?.verify(Buffer.from(ECDSA_VECTOR.base), signature)).toBe(true)
  expect(key?.verify(Buffer.from(`${ECDSA_VECTOR.base} `), signature)).toBe(false)
  expect(key?.verify(Buffer.from(ECDSA_VECTOR.base), signature.subarray(1))).toBe(false)
})

test('RSA PKCS#1 v1.5 with SHA-256', () => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
  const key = keysOf([{ id: 'r', algorithm: 'rsa-v1_5-sha256', publicKey: pem }]).get('r')
  const signature = sign('sha256', Buffer.from('base'), privateKey)
  expect(key?.verify(Buffer.from('base'), signature)).toBe(true)
  expect(key?.verify(Buffer.from('bass'), signature)).toBe(false)
})

test.each<[string, Partial<SignedMessage>, string]>([
  ['("@target-uri")', {}, '"@target-uri": https://example.com/foo?param=Value&Pet=dog'],
  ['("@target-uri")', { target: 'http://other.example/a?b' }, '"@target-uri": https://example.com/a?b'],
  ['("@authority")', { authority: 'EXAMPLE.com:443' }, '"@authority": example.com'],
  ['("@authority")', { authority: 'example.com:8443' }, '"@authority": example.com:8443'],
  ['("@scheme")', {}, '"@scheme": https'],
  ['("@request-target")', {}, '"@request-target": /foo?param=Value&Pet=dog'],
  ['("@path")', { target: 'https://example.com?x' }, '"@path": /'],
  ['("@path")', { target: '/a%2Fb/../c' }, '"@path": /a%2Fb/../c'],
  ['("@query")', { target: '/a' }, '"@query": ?'],
  ['("@query")', { target: '/a?' }, '"@query": ?'],
  ['("@query-param";name="a%20b")', { target: '/?a+b=x%2fy' }, '"@query-param";name="a%20b": x%2Fy'],
  [
    '("x-obs";bs)',
    { headers: new Headers(['X-Obs', 'a, b', 'X-Obs', ' c ']) },
    '"x-obs";bs: :YSwgYg==:, :Yw==:',
  ],
  ['("x-obs")', { headers: new Headers(['X-Obs', ' a', 'x-obs', 'b ']) }, '"x-obs": a, b'],
  ['("x-d";key="b")', { headers: new Headers(['x-d', 'a=1, b=2;x=3']) }, '"x-d";key="b": 2;x=3'],
])('the base line of %s with %o', (input, own, line) => {
  const headers = new Headers([
    ...(own.headers ?? new Headers()).raw(),
    ...['signature-input', `sig=${input}`, 'signature', 'sig=:AA==:'],
  ])
  const base = baseOf(input, { ...own, headers })
  expect(base).toBe(`${line}\n"@signature-params": ${input}`)
})

test.each([
  '("@status")',
  '("@method";req)',
  '("x-missing")',
  '("date";sf)',
  '("date";tr)',
  '("@query-param";name="no")',
  '("@query-param")',
  '("@nonsense")',
  '("content-digest";key="sha-256")',
])('a signature over %s cannot be checked: it is refused', (input) => {
  expect(baseOf(input)).toEqual({ missing: input.slice(1, -1) })
})

test('a query parameter that stands twice cannot be signed alone', () => {
  expect(baseOf('("@query-param";name="a")', { target: '/?a=1&a=2' })).toHaveProperty('missing')
})

test.each([
  ['sig=("@method" "@method")', 'sig=:AA==:'],
  ['sig=("Date")', 'sig=:AA==:'],
  ['sig=(date)', 'sig=:AA==:'],
  ['sig="x"', 'sig=:AA==:'],
  ['sig=("date")', 'other=:AA==:'],
  ['sig=("date")', 'sig="text"'],
  ['sig=("date"', 'sig=:AA==:'],
  ['sig=("date")', ''],
  [`${Array.from({ length: 9 }, (_, i) => `s${i}=("date")`).join(', ')}`, 's0=:AA==:'],
])('Signature-Input %s with Signature %s cannot be read', (input, signature) => {
  expect(parseSignatures(rfcRequest(input, signature).headers)).toBeUndefined()
})

test('a Signature without Signature-Input is no signature that could be right', () => {
  expect(parseSignatures(new Headers(['signature', 'sig=:AA==:']))).toEqual([])
  expect(parseSignatures(new Headers())).toEqual([])
})

const HMAC = VECTORS[3]
const check = (input: string, policy: Partial<SignaturePolicy> = {}, now = NOW) => {
  const message = rfcRequest(`sig=${input}`, `sig=:${HMAC?.signature}:`)
  return checkSignature(message, only(message), KEYS, { ...POLICY, ...policy }, now)
}
const good = HMAC?.input ?? ''

test.each<[string, string, Partial<SignaturePolicy>, number, string]>([
  ['an old one', good, {}, NOW + 331_000, 'GW_AUTH_EXPIRED'],
  ['one of the future', good, {}, NOW - 60_000, 'GW_AUTH_SIGNATURE'],
  ['one without created', '("date");keyid="test-shared-secret"', {}, NOW, 'GW_AUTH_SIGNATURE'],
  ['created as text', '("date");created="1";keyid="test-shared-secret"', {}, NOW, 'GW_AUTH_SIGNATURE'],
  ['an expired one', `${good};expires=1618884400`, {}, NOW + 1000, 'GW_AUTH_EXPIRED'],
  ['no nonce', good, { needsNonce: true }, NOW, 'GW_AUTH_SIGNATURE'],
  ['another key', good.replace('test-shared-secret', 'nobody'), {}, NOW, 'GW_AUTH_SIGNATURE'],
  ['no key', '("date");created=1618884473', {}, NOW, 'GW_AUTH_SIGNATURE'],
  ['another alg', `${good};alg="ed25519"`, {}, NOW, 'GW_AUTH_SIGNATURE'],
  ['not covered', good, { required: [[['"@method"']]] }, NOW, 'GW_AUTH_SIGNATURE'],
])('refused: %s', (_what, input, policy, now, code) => {
  expect(check(input, policy, now)).toMatchObject({ code })
})

test('a signature is good until max age and skew are over, and one alternative of a requirement is enough', () => {
  const required = [[['"@target-uri"'], ['"@authority"', '"date"']]]
  expect(check(good, { required }, NOW + 328_999)).toMatchObject({ key: { id: 'test-shared-secret' } })
  const times = { replayUntil: RFC_CREATED * 1000 + 330_000 }
  expect(check(good)).toMatchObject(times)
})

test.each([
  [{ disabled: true }, 'GW_AUTH_SIGNATURE'],
  [{ expires: '2021-04-20' }, 'GW_AUTH_EXPIRED'],
  [{ notBefore: '2021-04-21' }, 'GW_AUTH_SIGNATURE'],
])('a right signature of a key with %o is refused', (own, code) => {
  const message = rfcRequest(`sig=${good}`, `sig=:${HMAC?.signature}:`)
  const keys = keysOf([{ ...RFC_KEYS[3], ...own }])
  expect(checkSignature(message, only(message), keys, POLICY, NOW)).toMatchObject({ code })
})

test('of an ECDSA signature the mirrored one counts as the same', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
  const keys = keysOf([{ id: 'e', algorithm: 'ecdsa-p256-sha256', publicKey: pem }])
  const input = `("date");created=${RFC_CREATED};keyid="e"`
  const unsigned = rfcRequest(`sig=${input}`, 'sig=:AA==:')
  const base = signatureBase(unsigned, only(unsigned)) as Buffer
  const signature = sign('sha256', base, { key: privateKey, dsaEncoding: 'ieee-p1363' })
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
  const mirrored = (order - BigInt(`0x${signature.toString('hex', 32)}`)).toString(16).padStart(64, '0')
  const other = Buffer.concat([signature.subarray(0, 32), Buffer.from(mirrored, 'hex')])
  const keyOf = (bytes: Buffer) => {
    const message = rfcRequest(`sig=${input}`, `sig=:${bytes.toString('base64')}:`)
    const answer = checkSignature(message, only(message), keys, POLICY, NOW)
    return 'replayKey' in answer ? answer.replayKey : answer.detail
  }
  expect(other).not.toEqual(signature)
  expect(keyOf(other)).toBe(keyOf(signature))
})

test.each([
  [{ id: 'a', algorithm: 'hmac-sha256', secret: 'short' }, /16 bytes/],
  [{ id: 'a', algorithm: 'hmac-sha256' }, /16 bytes/],
  [{ id: 'a', algorithm: 'ed25519', publicKey: RFC_KEYS[0].publicKey }, /no key for ed25519/],
  [{ id: 'a', algorithm: 'ed25519', publicKey: 'nonsense' }, /no PEM/],
  [{ id: 'a', algorithm: 'ed25519', secret: 'x'.repeat(32) }, /publicKey alone/],
  [{ ...RFC_KEYS[3], publicKey: RFC_KEYS[2].publicKey }, /secret alone/],
  [{ id: 'a', algorithm: 'ed25519', publicKey: '-----BEGIN PRIVATE KEY-----' }, /private key/],
])('the key %o is refused', (entry, text) => {
  expect(() => keysOf([entry])).toThrow(text)
})

test('a key id that stands twice is refused', () => {
  expect(() => keysOf([RFC_KEYS[3], RFC_KEYS[3]])).toThrow('keys[1]: the same id as keys[0]')
})

const digestOf = (algorithm: string, text: string) =>
  `sha-${algorithm}=:${createHash(`sha${algorithm}`).update(text).digest('base64')}:`

test.each([
  [rfcRequest().headers.get('content-digest') ?? '', RFC_BODY, 'right'],
  [digestOf('256', 'a'), 'a', 'right'],
  [`${digestOf('256', 'a')}, ${digestOf('512', 'a')}`, 'a', 'right'],
  [`${digestOf('256', 'a')}, ${digestOf('512', 'b')}`, 'a', 'wrong'],
  [digestOf('256', 'a'), 'b', 'wrong'],
  ['md5=:AAAA:', 'a', 'unknown'],
  ['', 'a', 'unknown'],
  ['sha-256="x"', 'a', 'malformed'],
  ['sha-256=:AA', 'a', 'malformed'],
])('Content-Digest %s for %s is %s', (field, body, verdict) => {
  expect(checkContentDigest(field, Buffer.from(body))).toBe(verdict)
})

test('used signatures are forgotten when they are too old, never to make room', () => {
  let now = 0
  const memory = new ReplayMemory(2, { now: () => now, monotonic: () => now })
  expect(memory.add('a', 5000)).toBe('new')
  expect(memory.add('a', 5000)).toBe('seen')
  expect(memory.add('b', 9000)).toBe('new')
  expect(memory.add('c', 9000)).toBe('full')
  now = 5000
  expect(memory.add('c', 9000)).toBe('new')
  expect(memory.size).toBe(2)
  expect(memory.add('b', 9000)).toBe('seen')
})
