import { expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { startTokenGateway } from '../support/token-gateway.ts'
import { encode, goodClaims, makeKey } from '../support/tokens.ts'

/** CVE-2022-21449: an ECDSA signature of zeros was good for any message; and other signatures that cannot be. */

const cleanups = useCleanups()
const ORDER = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex')
const ZERO = Buffer.alloc(32)
const ONE = Buffer.concat([Buffer.alloc(31), Buffer.of(1)])

const hex = (text: string) => Buffer.from(text, 'hex')

test.each([
  ['0, 0', Buffer.concat([ZERO, ZERO])],
  ['0, 1', Buffer.concat([ZERO, ONE])],
  ['1, 0', Buffer.concat([ONE, ZERO])],
  ['1, 1', Buffer.concat([ONE, ONE])],
  ['the order of the curve twice', Buffer.concat([ORDER, ORDER])],
  ['the order, 1', Buffer.concat([ORDER, ONE])],
  ['all ones', Buffer.alloc(64, 0xff)],
  ['DER of 0, 0', hex('3006020100020100')],
  ['DER of 1, 1', hex('3006020101020101')],
  ['one byte', Buffer.of(0)],
  ['63 bytes', Buffer.alloc(63, 1)],
  ['65 bytes', Buffer.alloc(65, 1)],
  ['128 zeros', Buffer.alloc(128)],
])('an ES256 signature of %s is none', async (_, signature) => {
  const { bearer } = await startTokenGateway(cleanups, { keys: [makeKey('ES256', 'k')] })
  const data = `${encode({ alg: 'ES256', kid: 'k' })}.${encode(goodClaims())}`
  expect((await bearer(`${data}.${signature.toString('base64url')}`)).status).toBe(401)
})

test.each(['ES256', 'ES384', 'ES512', 'EdDSA', 'RS256', 'PS256'])(
  '%s: a good signature that was cut off, made longer or changed is refused',
  async (alg) => {
    const { bearer, good } = await startTokenGateway(cleanups, { keys: [makeKey(alg, 'k')] })
    const token = good()
    expect((await bearer(token)).status).toBe(200)
    const at = token.lastIndexOf('.') + 1
    const signature = Buffer.from(token.slice(at), 'base64url')
    const changed = Buffer.from(signature)
    changed[5] = (changed[5] ?? 0) ^ 1
    const others = [
      signature.subarray(0, -1),
      Buffer.concat([signature, Buffer.of(0)]),
      Buffer.concat([Buffer.of(0), signature]),
      Buffer.alloc(signature.length),
      changed,
    ]
    for (const other of others) {
      expect((await bearer(token.slice(0, at) + other.toString('base64url'))).status).toBe(401)
    }
  },
)
