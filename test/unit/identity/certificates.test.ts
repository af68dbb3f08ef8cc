import { expect, test } from 'vitest'
import {
  alternativeNames,
  type CertificateFacts,
  type CertificateRules,
  commonNameOf,
  createCertificateTest,
  parseForwardedCertificate,
} from '../../../src/identity/certificate.ts'

const HASH = 'ab'.repeat(32)
const FACTS: CertificateFacts = {
  subject: 'CN=client,OU=shop,O=Example',
  commonName: 'client',
  issuer: 'CN=CA,O=Example',
  fingerprint: HASH,
  dns: ['a.example.com'],
  uris: ['spiffe://prod/ns/shop'],
  serial: '01',
  expiresAt: undefined,
}
const NO_RULES: CertificateRules = {
  subjects: [],
  commonNames: [],
  dns: [],
  uris: [],
  fingerprints: [],
  issuers: [],
}

test.each<[Partial<CertificateRules>, boolean]>([
  [{}, true],
  [{ subjects: ['cn=client, ou=shop, O = Example'] }, true],
  [{ subjects: ['CN=client'] }, false],
  [{ subjects: ['O=Example,OU=shop,CN=client'] }, false],
  [{ commonNames: ['client'] }, true],
  [{ commonNames: ['Client'] }, false],
  [{ dns: ['A.example.com'] }, true],
  [{ dns: ['*.example.com'] }, true],
  [{ dns: ['*.com'] }, false],
  [{ uris: ['spiffe://prod/*'] }, true],
  [{ uris: ['spiffe://prod'] }, false],
  [{ fingerprints: [HASH.toUpperCase().replace(/..(?!$)/g, '$&:')] }, true],
  [{ fingerprints: ['00'.repeat(32)] }, false],
  [{ issuers: ['CN=CA,O=Example'] }, true],
  [{ issuers: ['CN=Other'] }, false],
  [{ commonNames: ['client'], issuers: ['CN=Other'] }, false],
  [{ commonNames: ['other'], dns: ['a.example.com'] }, true],
])('rules %o take the certificate: %s', (rules, isAllowed) => {
  expect(createCertificateTest({ ...NO_RULES, ...rules })(FACTS)).toBe(isAllowed)
})

test('a name with a wildcard in the certificate is no other name', () => {
  const isAllowed = createCertificateTest({ ...NO_RULES, dns: ['*.example.com'] })
  expect(isAllowed({ ...FACTS, dns: ['*.example.com'] })).toBe(false)
  expect(isAllowed({ ...FACTS, dns: ['.example.com'] })).toBe(false)
})

test.each([
  ['CN=a,O=b', 'a'],
  ['O=b,CN=a', 'a'],
  ['OU=x+CN=a,O=b', 'a'],
  ['CN=a\\,CN\\=admin,O=b', 'a,CN=admin'],
  ['O="x,CN=admin"', undefined],
  ['O=x\\,CN=admin', undefined],
  ['CN=a\\2Cb', 'a,b'],
  ['O=b', undefined],
  ['', undefined],
])('the common name of %s is %s', (subject, name) => {
  expect(commonNameOf(subject)).toBe(name)
})

test('a name in quotes cannot pose as several (CVE-2021-44532)', () => {
  const text =
    'DNS:"evil.test\\u002c DNS:shop.example.com", DNS:b.test, URI:"spiffe://a\\u002c URI:x", email:c@d'
  expect(alternativeNames(text, 'DNS')).toEqual(['evil.test, DNS:shop.example.com', 'b.test'])
  expect(alternativeNames(text, 'URI')).toEqual(['spiffe://a, URI:x'])
  expect(alternativeNames('DNS:"broken', 'DNS')).toEqual([])
  expect(alternativeNames(undefined, 'DNS')).toEqual([])
})

test('X-Forwarded-Client-Cert: what the nearest proxy saw', () => {
  const far = `Hash=${'00'.repeat(32)};Subject="CN=far"`
  const near = `By=spiffe://proxy;Hash=${HASH};Subject="CN=a\\"b\\,c,O=x;y";URI=spiffe://prod/a;DNS=A.test;DNS=b.test`
  expect(parseForwardedCertificate(`${far},${near}`)).toMatchObject({
    fingerprint: HASH,
    subject: 'CN=a"b,c,O=x;y',
    uris: ['spiffe://prod/a'],
    dns: ['a.test', 'b.test'],
  })
})

test.each([
  '',
  'Subject="CN=a"',
  'Hash=xyz',
  `Hash=${HASH};Hash=${HASH}`,
  `Hash=${HASH},By=x`,
  `"Hash=${HASH}`,
])('X-Forwarded-Client-Cert %s names nobody', (field) => {
  expect(parseForwardedCertificate(field)).toBeUndefined()
})
