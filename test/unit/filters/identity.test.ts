import { X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import type { FilterEnvironment } from '../../../src/filters/instances.ts'
import { FILTERS } from '../../../src/filters/list.ts'
import { createChains, runInbound } from '../../../src/filters/runner.ts'
import { keyDigest } from '../../../src/identity/key-ring.ts'
import { aContext, chainOf, notingDeps, use } from '../../support/filters.ts'
import { aRoute } from '../../support/routing.ts'
import { selfSigned } from '../../support/self-signed.ts'
import { SECRET } from '../../support/sign.ts'

const DIGEST = keyDigest('sk_0123456789abcdef')
const KEY = { id: 'k1', sha256: DIGEST, owner: 'shop' }
const HMAC = { id: 'k1', algorithm: 'hmac-sha256', secret: SECRET }
const HASH = '$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E'

test.each<[string, object, RegExp]>([
  ['api-key', {}, /name keys, file or store/],
  ['api-key', { keys: [KEY], header: false }, /name a place for the key/],
  ['api-key', { keys: [{ ...KEY, sha256: 'sk_secret_text' }] }, /64 hex digits/],
  ['api-key', { keys: [KEY], query: 'key', forward: true }, /would stand in logs/],
  ['api-key', { keys: [KEY], headers: { 'x-a': 'password' } }, /write id, kind/],
  ['api-key', { keys: [KEY], headers: { Authorization: 'id' } }, /taken from every client/],
  ['api-key', { keys: [KEY], headers: { 'content-length': 'id' } }, /Invalid key/],
  ['api-key', { keys: [KEY], realm: 'a"b' }, /a realm is ASCII/],
  ['api-key', { store: { name: 'none' } }, /no store "none"/],
  ['api-key', { keys: [KEY], required: false }, /Unrecognized key/],
  ['basic', {}, /name users or file/],
  ['basic', { users: [{ name: 'a:b', hash: HASH }] }, /no colon/],
  ['basic', { users: [{ name: 'a', hash: 'plain_secret' }] }, /no bcrypt/],
  ['basic', { users: [{ name: 'a', hash: HASH }], cache: '5' }, /no duration/],
  ['hmac', {}, /name keys or file/],
  ['hmac', { keys: [HMAC], components: ['@status'] }, /@target-uri/],
  ['hmac', { keys: [HMAC], components: ['Date'] }, /in lower case/],
  ['hmac', { keys: [{ ...HMAC, algorithm: 'none' }] }, /algorithm/],
  ['hmac', { keys: [HMAC], replay: { store: 'none' } }, /no store "none"/],
  ['mtls', { fingerprints: ['ab'] }, /64 hex digits/],
  ['acl', { rules: [] }, /rules/],
  ['acl', { rules: [{ allow: {}, deny: {} }] }, /either allow or deny/],
  ['acl', { rules: [{}] }, /either allow or deny/],
  ['acl', { rules: [{ allow: { principals: [{}] } }] }, /name id, kind or realm/],
  ['acl', { rules: [{ allow: { networks: ['10.0.0.0/33'] } }] }, /CIDR/],
  ['acl', { rules: [{ allow: { role: ['x'] } }] }, /Unrecognized key/],
  ['acl', { rules: [{ allow: { roles: [] } }] }, /roles/],
])('%s refuses the options %o, and repeats no secret', (type, options, problem) => {
  const make = () => chainOf([use(type, options)])
  expect(make).toThrow(problem)
  expect(make).not.toThrow(/sk_secret_text|plain_secret/)
})

async function prepared(type: string, options: object, own: Partial<FilterEnvironment> = {}) {
  const deps = { ...notingDeps(), ...own }
  const chains = createChains(FILTERS, deps)
  const route = aRoute('r', {}, { filters: [use(type, options)] })
  await chains.prepare(route)
  return { chain: chains.chainFor(route), deps }
}

test.each<[string, object, Record<string, string>]>([
  ['api-key', { keys: [KEY] }, { 'x-api-key': 'sk_0123456789abcdef' }],
  ['basic', { users: [{ name: 'a', hash: HASH }] }, { authorization: 'Basic YTpi' }],
])('%s before its keys are loaded refuses', async (type, options, headers) => {
  expect(await runInbound(chainOf([use(type, options)]), aContext({ headers }))).toMatchObject({
    ...{ status: 500, code: 'GW_FILTER_FAILED' },
  })
})

test('mutual TLS: a certificate that expires on an open connection ends', async () => {
  const { cert } = await selfSigned('client.example')
  const certificate = new X509Certificate(cert)
  let now = Date.parse(certificate.validTo) - 1
  const { chain } = await prepared(
    'mtls',
    { dns: ['client.example'] },
    { clock: { now: () => now, monotonic: () => 0 } },
  )
  const ask = () => runInbound(chain, aContext({ clientCertificate: () => certificate }))
  expect(ask()).toBeUndefined()
  now++
  expect(ask()).toMatchObject({ status: 403, code: 'GW_AUTH_CERTIFICATE_REFUSED' })
})

test('mutual TLS: a certificate without the name that the id is made of is refused', async () => {
  const { cert } = await selfSigned('client.example')
  const certificate = new X509Certificate(cert)
  const { chain } = await prepared(
    'mtls',
    { id: 'san-uri' },
    { clock: { now: () => Date.now(), monotonic: () => 0 } },
  )
  expect(runInbound(chain, aContext({ clientCertificate: () => certificate }))).toMatchObject({ status: 403 })
})

test('api-key answers at once, without a promise', async () => {
  const { chain } = await prepared('api-key', { keys: [KEY] })
  const ctx = aContext({ headers: { 'x-api-key': 'sk_0123456789abcdef' } })
  expect(runInbound(chain, ctx)).toBeUndefined()
  expect(ctx.principal).toEqual({
    ...{ id: 'shop', kind: 'api-key', filter: 'api-key', realm: 'api-key', claims: { key: 'k1' } },
    ...{ roles: [], groups: [], scopes: [] },
  })
})

test.each<[string, object, Record<string, string>, string[]]>([
  ['api-key', { keys: [KEY] }, { 'x-api-key': 'sk_0123456789abcdef' }, ['ok']],
  ['api-key', { keys: [KEY] }, {}, ['missing']],
  ['api-key', { keys: [KEY] }, { 'x-api-key': 'sk_0123456789abcdeF' }, ['invalid']],
  ['api-key', { keys: [KEY], allow: 'missing' }, {}, ['anonymous']],
  ['basic', { users: [{ name: 'a', hash: HASH }] }, { authorization: 'Basic YTpi' }, ['invalid']],
  ['mtls', {}, {}, ['certificate']],
])('%s with %o counts for %o: %j', async (type, options, headers, decisions) => {
  const counts: string[] = []
  const metrics = {
    count: (_name: string, labels: readonly string[]) => void counts.push(labels.join(' ')),
    set: () => {},
  }
  const { chain } = await prepared(type, options, { metrics })
  await runInbound(chain, aContext({ headers }))
  expect(counts).toEqual(decisions.map((decision) => `${type} ${decision}`))
})
