import { once } from 'node:events'
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { identityProvider } from '../../src/config/identity.ts'
import { watchFiles } from '../../src/config/watch.ts'
import type { IdentityProvider } from '../../src/identity/provider.ts'
import { createIdentityProviders } from '../../src/identity-providers.ts'
import { useCleanups } from '../support/cleanup.ts'
import { type Issuer, startIssuer } from '../support/issuer.ts'
import { notingProviderDeps } from '../support/provider-deps.ts'
import { httpServer } from '../support/scripted-server.ts'
import { selfSigned } from '../support/self-signed.ts'
import {
  goodClaims,
  ISSUER,
  jwksOf,
  makeKey,
  makeToken,
  secretKey,
  type TokenKey,
} from '../support/tokens.ts'
import { waitFor } from '../support/wait.ts'

const { opened, later } = useCleanups()
const one = makeKey('ES256', 'one')
const two = makeKey('EdDSA', 'two')

/** A provider of this configuration, started. */
async function start(config: Record<string, unknown>, own: Parameters<typeof notingProviderDeps>[0] = {}) {
  const deps = notingProviderDeps(own)
  const checked = identityProvider.parse({ type: 'jwks', issuer: ISSUER, audiences: ['shop'], ...config })
  const provider = createIdentityProviders({ login: checked }, deps).get('login') as IdentityProvider
  await opened(provider)
  await provider.start()
  return { provider, ...deps }
}

const token = (key: TokenKey, own = {}, header = {}) => makeToken(key, goodClaims(own), header)
const folderOf = async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-identity-'))
  later(() => rm(folder, { recursive: true }))
  return folder
}

describe('keys by address', () => {
  test('are rotated: the first token of a new key fetches it, the tokens of the old one go with it', async () => {
    const issuer = await opened(startIssuer(one))
    const { provider } = await start({ jwksUrl: issuer.jwksUrl })
    expect(await provider.verify(token(one))).toMatchObject({ kind: 'valid' })
    issuer.publish(one, two)
    expect(await provider.verify(token(two))).toMatchObject({ kind: 'valid' })
    expect(issuer.fetches()).toBe(2)
    expect(await provider.verify(token(one))).toMatchObject({ kind: 'valid' })
  })

  test('a storm of tokens with made-up keys asks the issuer once', async () => {
    const issuer = await opened(startIssuer(one))
    const { provider } = await start({ jwksUrl: issuer.jwksUrl })
    const storm = Array.from({ length: 2000 }, (_, i) =>
      provider.verify(token(two, {}, { kid: `made-up-${i}` })),
    )
    const verdicts = await Promise.all(storm)
    expect(verdicts.every((each) => each.kind === 'invalid' && each.reason === 'unknown_key')).toBe(true)
    expect(issuer.fetches()).toBe(2)
    for (let i = 0; i < 100; i++) await provider.verify(token(two, {}, { kid: `later-${i}` }))
    expect(issuer.fetches()).toBe(2)
    expect(await provider.verify(token(one))).toMatchObject({ kind: 'valid' })
  })

  test('serve on while the issuer is away; the age tells', async () => {
    const issuer = await opened(startIssuer(one))
    const { provider, fetched } = await start({ jwksUrl: issuer.jwksUrl, keyCache: { refresh: '1s' } })
    await issuer.close()
    await waitFor(() => fetched.includes('login failed'), { what: 'a fetch to fail' })
    expect(await provider.verify(token(one))).toMatchObject({ kind: 'valid' })
    expect(provider.keyAgeSeconds()).toBeGreaterThan(0.5)
    expect(await provider.verify(token(two))).toEqual({ kind: 'unavailable' })
  })

  test.each<[string, Issuer['answer'], string]>([
    ['an error', (_, response) => void response.writeHead(500).end(jwksOf(two)), 'status 500'],
    ['an empty set', (_, response) => void response.end('{"keys":[]}'), 'no usable key'],
    ['a page', (_, response) => void response.end('<html></html>'), 'no JWK set'],
    ['half of a document', (_, response) => void response.end(jwksOf(two).slice(0, 40)), 'no JWK set'],
    [
      'a redirect',
      (request, response) =>
        request.url === '/jwks'
          ? void response.writeHead(302, { location: '/other' }).end()
          : void response.end(jwksOf(two)),
      'status 302',
    ],
    ['too much', (_, response) => void response.end(jwksOf(two) + ' '.repeat(300_000)), 'more than 262144'],
    ['silence', () => {}, 'within 500 ms'],
    ['half an answer', (_, response) => void response.write('{"keys":['), 'within 500 ms'],
    ['a reset', (request) => void request.socket.destroy(), 'jwks'],
  ])('are not replaced by %s', async (_, answer, why) => {
    const issuer = await opened(startIssuer(one))
    const { provider, warnings } = await start({ jwksUrl: issuer.jwksUrl, timeout: '500ms' })
    issuer.answer = answer
    const verdict = await provider.verify(token(two))
    expect(verdict).toEqual({ kind: 'unavailable' })
    expect(warnings.join()).toContain(why)
    expect(await provider.verify(token(one))).toMatchObject({ kind: 'valid' })
  })

  test('a start with an issuer that is away does not fail; the first request after its return is good', async () => {
    const issuer = await opened(startIssuer(one))
    issuer.answer = (_, response) => void response.writeHead(503).end()
    const { provider } = await start({ jwksUrl: issuer.jwksUrl })
    expect(await provider.verify(token(one))).toEqual({ kind: 'unavailable' })
    issuer.answer = undefined
    await waitFor(() => provider.keyAgeSeconds() !== undefined, { what: 'keys' })
    expect(await provider.verify(token(one))).toMatchObject({ kind: 'valid' })
  })

  test('are kept on disk for a start without the issuer, but only those of this address', async () => {
    const file = join(await folderOf(), 'sub', 'keys.json')
    const issuer = await opened(startIssuer(one))
    const config = { jwksUrl: issuer.jwksUrl, keyCache: { file } }
    const first = await start(config)
    await first.provider.close()
    await issuer.close()
    const { provider } = await start(config)
    expect(await provider.verify(token(one))).toMatchObject({ kind: 'valid' })
    expect(await readFile(file, 'utf8')).not.toContain('"d"')
    const other = await start({ ...config, jwksUrl: `${issuer.jwksUrl}2` })
    expect(await other.provider.verify(token(one))).toEqual({ kind: 'unavailable' })
  })

  test('come over TLS of a private authority that is named, and of no other', async () => {
    const pair = await selfSigned('id.example.com')
    const server = createServer(pair, (_, response) => response.end(jwksOf(one)))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    later(() => {
      server.close()
      server.closeAllConnections()
    })
    const ca = join(await folderOf(), 'ca.pem')
    await writeFile(ca, pair.cert)
    const jwksUrl = `https://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
    const { provider } = await start({ jwksUrl, ca })
    expect(await provider.verify(token(one))).toMatchObject({ kind: 'valid' })
    const { provider: strict, warnings } = await start({ jwksUrl })
    expect(await strict.verify(token(one))).toEqual({ kind: 'unavailable' })
    expect(warnings.join()).toContain('certificate')
  })
})

describe('keys of a file', () => {
  const watching = {
    watchFiles(paths: readonly string[], onChange: () => void | Promise<void>) {
      const abort = new AbortController()
      void watchFiles(
        () => paths,
        () => [],
        async () => onChange(),
        abort.signal,
      )
      return () => abort.abort()
    },
  }

  test('change with it; a file that is of no use changes nothing', async () => {
    const jwksFile = join(await folderOf(), 'jwks.json')
    const replace = async (text: string) => {
      await writeFile(`${jwksFile}.new`, text)
      await rename(`${jwksFile}.new`, jwksFile)
    }
    await replace(jwksOf(one))
    const { provider, fetched } = await start({ jwksFile }, watching)
    expect(await provider.verify(token(one))).toMatchObject({ kind: 'valid' })
    await replace('{"keys":[]}')
    await waitFor(() => fetched.includes('login rejected'), { what: 'the bad file to be seen' })
    expect(await provider.verify(token(one))).toMatchObject({ kind: 'valid' })
    await replace(jwksOf(two))
    await waitFor(async () => (await provider.verify(token(two))).kind === 'valid', { what: 'the new key' })
    // The old token was remembered: it goes with its key.
    expect(await provider.verify(token(one))).toEqual({ kind: 'invalid', reason: 'unknown_key' })
  })
})

test('a shared secret checks HS256, and no other secret does', async () => {
  const secret = 'a'.repeat(40)
  const { provider } = await start({ secret })
  const hmac = (text: string): TokenKey => {
    const key = secretKey(text)
    return { alg: 'HS256', kid: 'any', privateKey: key, publicKey: key, jwk: {} }
  }
  expect(await provider.verify(token(hmac(secret)))).toMatchObject({ kind: 'valid' })
  expect(await provider.verify(token(hmac('b'.repeat(40))))).toEqual({ kind: 'invalid', reason: 'signature' })
  expect(await provider.verify(token(one))).toEqual({ kind: 'invalid', reason: 'algorithm' })
})

describe('OpenID Connect discovery', () => {
  async function discovered(document: (base: string) => unknown) {
    const server = await opened(
      httpServer((request, response) => {
        const base = `http://127.0.0.1:${server.port}`
        const isKeys = request.url === '/realm/keys'
        response.end(isKeys ? jwksOf(one) : JSON.stringify(document(base)))
        if (!isKeys) paths.push(request.url ?? '')
      }),
    )
    const paths: string[] = []
    const issuer = `http://127.0.0.1:${server.port}/realm`
    const { provider, warnings } = await start({ type: 'oidc', issuer })
    return { provider, warnings, issuer, paths }
  }

  test('finds the keys', async () => {
    const { provider, issuer, paths } = await discovered((base) => ({
      issuer: `${base}/realm`,
      jwks_uri: `${base}/realm/keys`,
    }))
    expect(paths).toEqual(['/realm/.well-known/openid-configuration'])
    expect(await provider.verify(token(one, { iss: issuer }))).toMatchObject({ kind: 'valid' })
  })

  test.each([
    ['of another issuer', (base: string) => ({ issuer: `${base}/other`, jwks_uri: `${base}/realm/keys` })],
    ['without an address of keys', (base: string) => ({ issuer: `${base}/realm` })],
    [
      'with a file as address',
      (base: string) => ({ issuer: `${base}/realm`, jwks_uri: 'file:///etc/passwd' }),
    ],
    ['that is a list', () => []],
  ])('refuses a document %s', async (_, document) => {
    const { provider, issuer, warnings } = await discovered(document)
    expect(await provider.verify(token(one, { iss: issuer }))).toEqual({ kind: 'unavailable' })
    expect(warnings.join()).toMatch(/another issuer|jwks_uri|no discovery/)
  })
})
