import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

/** The request header that carries a token: `<expiry>.<nonce>.<mac>`. */
export const DEBUG_HEADER = 'x-sluice-debug'
/** The answer's header for who sent one. */
export const EXPLAIN_HEADER = 'x-sluice-explain'
/** A token that is good for longer is none. ms. */
export const MAX_DEBUG_TTL_MS = 24 * 60 * 60_000

/** Expiry in seconds since the epoch, 12 random bytes, HMAC-SHA256 of both; the last two as base64url. */
const FORM = /^(\d{1,12})\.([\w-]{16})\.([\w-]{43})$/

const macOf = (key: string, text: string): Buffer =>
  createHmac('sha256', key).update(`sluice debug 1 ${text}`).digest()

/** A token that is good until `now + ttlMs`, in whole seconds. Times: ms. */
export function createDebugToken(key: string, now: number, ttlMs: number): string {
  const text = `${Math.ceil((now + ttlMs) / 1000)}.${randomBytes(12).toString('base64url')}`
  return `${text}.${macOf(key, text).toString('base64url')}`
}

/** Whether a token is of this key and still good. Compared in constant time. `now`: ms since the epoch. */
export function checkDebugToken(key: string, token: string, now: number): 'valid' | 'expired' | 'invalid' {
  const [, expiry = '', nonce = '', mac = ''] = FORM.exec(token) ?? []
  if (mac === '') return 'invalid'
  const given = Buffer.from(mac, 'base64url')
  const expected = macOf(key, `${expiry}.${nonce}`)
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return 'invalid'
  const endsAt = Number(expiry) * 1000
  if (endsAt <= now) return 'expired'
  // Whoever has the key could make one for ever; a leaked token must not be one.
  return endsAt - now > MAX_DEBUG_TTL_MS + 1000 ? 'invalid' : 'valid'
}
