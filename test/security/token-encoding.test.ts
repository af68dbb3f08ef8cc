import { expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { startTokenGateway } from '../support/token-gateway.ts'
import { goodClaims, rawToken } from '../support/tokens.ts'

/** One token, one way to write it: else a revocation list, a cache or a log sees another token than we do. */

const cleanups = useCleanups()

test('a good token in any other spelling is refused', async () => {
  const { send, bearer, good } = await startTokenGateway(cleanups)
  const token = good({}, 'ES256')
  expect((await bearer(token)).status).toBe(200)
  const [head = '', payload = '', signature = ''] = token.split('.')
  // 64 bytes end in two bits of padding that a lenient decoder does not look at.
  const lastChar = signature.at(-1) as string
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const twin = alphabet[alphabet.indexOf(lastChar) ^ 1] as string
  const spellings = [
    `${token}=`,
    `${token}==`,
    `${head}=.${payload}.${signature}`,
    `${head}.${payload}=.${signature}`,
    `${head}.${payload}.${signature.slice(0, -1)}${twin}`,
    `${token}.`,
    `.${token}`,
    `${head}..${signature}`,
    `${head}.${payload}.${signature}.${signature}`,
    `${head}.${payload}.${signature}.x.y`,
    `${head}. ${payload}.${signature}`,
    `${head}.${payload}\t.${signature}`,
    `${token},${token}`,
    `${token} ${token}`,
    `"${token}"`,
    `${head}.${payload}.${signature.replaceAll('-', '+').replaceAll('_', '/')}+`,
    `${token}\xa0`,
    `${token}%20`,
    JSON.stringify({ payload, signatures: [{ protected: head, signature }] }),
  ]
  for (const spelling of spellings) {
    expect([spelling.slice(-20), (await bearer(spelling)).status]).toEqual([spelling.slice(-20), 401])
  }
  // Bytes that HTTP itself refuses.
  for (const bad of [`${token}\0`, `${head}.\0${payload}.${signature}`, `${token}\x0b`]) {
    expect((await send(`Authorization: Bearer ${bad}\r\n`).catch(() => ({ status: 400 }))).status).toBe(400)
  }
})

test('a payload that is no UTF-8, has a NUL or a mark in front, or more behind, is refused', async () => {
  const { bearer, key } = await startTokenGateway(cleanups)
  const { privateKey } = key('ES256')
  const header = { alg: 'ES256', kid: 'ES256' }
  const claims = JSON.stringify(goodClaims())
  for (const text of [
    `\ufeff${claims}`,
    `${claims}\0`,
    `${claims}${claims}`,
    `[${claims}]`,
    claims.replace('alice', 'al\0ice'),
  ]) {
    expect((await bearer(rawToken(header, text, 'ES256', privateKey))).status).toBe(401)
  }
  // Escaped it is a text like any other, and no header is made of it.
  const escaped = claims.replace('alice', 'al\\u0000ice')
  expect((await bearer(rawToken(header, escaped, 'ES256', privateKey))).status).toBe(200)
})
