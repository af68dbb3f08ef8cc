import { expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { startTokenGateway } from '../support/token-gateway.ts'
import { goodClaims, rawToken } from '../support/tokens.ts'

/** CVE-2017-12635, RFC 7519 §4: of a member that stands twice two parsers take different ones. */

const cleanups = useCleanups()

test('a token with a claim or a header twice is refused though its signature is good', async () => {
  const { bearer, key, good } = await startTokenGateway(cleanups)
  expect((await bearer(good())).status).toBe(200)
  const { privateKey } = key('ES256')
  const header = { alg: 'ES256', kid: 'ES256' }
  const claims = JSON.stringify(goodClaims({ roles: ['user'], nested: { a: 1 } }))
  const more = (text: string, member: string) => `${text.slice(0, -1)},${member}}`
  const payloads = [
    more(claims, '"sub":"root"'),
    more(claims, '"\\u0073ub":"root"'),
    more(claims, '"exp":99999999999'),
    more(claims, '"roles":["admin"]'),
    claims.replace('"a":1', '"a":1,"a":2'),
  ]
  for (const payload of payloads) {
    expect((await bearer(rawToken(header, payload, 'ES256', privateKey))).status).toBe(401)
  }
  const heads = ['{"alg":"none","alg":"ES256"}', '{"alg":"ES256","kid":"a","kid":"ES256"}']
  for (const head of heads) {
    expect((await bearer(rawToken(head, claims, 'ES256', privateKey))).status).toBe(401)
  }
  // The same without the second member passes: it was the member.
  expect((await bearer(rawToken(header, claims, 'ES256', privateKey))).status).toBe(200)
})
