import { expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { httpServer } from '../support/scripted-server.ts'
import { startTokenGateway } from '../support/token-gateway.ts'
import { goodClaims, jwksOf, makeKey, makeToken } from '../support/tokens.ts'

/** CVE-2018-0114 and its kin: the token brings its own key (`jwk`, `x5c`) or says where it is (`jku`, `x5u`). */

const cleanups = useCleanups()

test('a key that the token brings or points to is not used, and nothing is fetched', async () => {
  const evil = makeKey('RS256', 'evil')
  let visits = 0
  const host = await cleanups.opened(
    httpServer((_, response) => {
      visits++
      response.end(jwksOf(evil))
    }),
  )
  const url = `http://127.0.0.1:${host.port}/jwks`
  const { bearer, key } = await startTokenGateway(cleanups)
  const x5c = [evil.publicKey.export({ format: 'der', type: 'spki' }).toString('base64')]
  const headers = [
    { jwk: evil.jwk },
    { jku: url },
    { x5u: url },
    { x5c },
    { jwk: evil.jwk, jku: url, x5u: url, x5c },
  ]
  for (const header of headers) {
    for (const kid of ['evil', 'RS256', undefined]) {
      expect((await bearer(makeToken(evil, goodClaims(), { ...header, kid }))).status).toBe(401)
    }
    // The header alone is no reason to refuse: some issuers send x5c.
    expect((await bearer(makeToken(key('RS256'), goodClaims(), header))).status).toBe(200)
  }
  expect(visits).toBe(0)
})
