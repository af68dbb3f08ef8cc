import { createHash, createHmac, randomBytes, scryptSync, timingSafeEqual } from 'node:crypto'
import type { AdminCaller, AdminSessions, SignedIn } from '../src/core/admin-caller.ts'

/** Begins the name of the cookie; the gateway's own listeners never hand one of this name to a service. */
export const SESSION_COOKIE = 'sluice_session'

export interface AdminSessionOptions {
  /** Absent: nobody has to sign in. */
  readonly token: string | undefined
  readonly readToken: string | undefined
  /** ms. */
  readonly ttlMs: number
  /** Over TLS: the cookie never goes anywhere else. */
  readonly isSecure: boolean
  now(): number
}

/** One of the two tokens. */
interface Key {
  readonly mode: 'w' | 'r'
  readonly digest: Buffer
  /** Signs the sessions that were opened with it: another token, and they are over. */
  readonly secret: Buffer
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** A cookie that was read, or guessed, must not be a quick way to try tokens. */
const secretOf = (token: string): Buffer => scryptSync(token, 'sluice admin session 1', 32)

/** Who it is by the two tokens, and the cookies that stand for them. Tokens are compared in constant time. */
export class Sessions implements AdminSessions {
  readonly #options: AdminSessionOptions
  readonly #keys: readonly Key[]

  constructor(options: AdminSessionOptions) {
    this.#options = options
    const { token, readToken } = options
    this.#keys = [
      ...(token === undefined ? [] : [createKey('w', token)]),
      ...(readToken === undefined ? [] : [createKey('r', readToken)]),
    ]
  }

  get isNeeded(): boolean {
    return this.#keys.length > 0
  }

  /** Undefined = it is neither token. */
  callerOf(token: string): AdminCaller | undefined {
    const key = this.#keyOf(token)
    return key === undefined ? undefined : callerBy(key, 'token', undefined)
  }

  #keyOf(token: string): Key | undefined {
    const given = digest(token)
    // Both are looked at, whichever it is.
    const found = this.#keys.filter((key) => timingSafeEqual(key.digest, given))
    return found[0]
  }

  signIn(token: string, by: string | undefined, host: string): SignedIn | undefined {
    if (!this.isNeeded) return { caller: { who: 'this machine', canWrite: true, via: 'open' }, cookies: [] }
    const key = this.#keyOf(token)
    if (key === undefined) return undefined
    const { ttlMs } = this.#options
    const expiresAt = this.#options.now() + ttlMs
    const name = Buffer.from(by ?? '').toString('base64url')
    const text = `${key.mode}.${expiresAt}.${randomBytes(12).toString('base64url')}.${name}`
    const cookie = `${this.#nameFor(host)}=${text}.${sign(key, text)}; Max-Age=${Math.floor(ttlMs / 1000)}`
    return {
      caller: callerBy(key, 'session', by),
      cookies: [`${cookie}; ${this.#attributes()}`],
      expiresAt,
    }
  }

  signOut(host: string): string {
    return `${this.#nameFor(host)}=; Max-Age=0; ${this.#attributes()}`
  }

  #attributes(): string {
    return `Path=/; HttpOnly; SameSite=Strict${this.#options.isSecure ? '; Secure' : ''}`
  }

  /** Cookies do not tell ports apart, gateways on one machine do. */
  #nameFor(host: string): string {
    const port = /:(\d{1,5})$/.exec(host)?.[1]
    const prefix = this.#options.isSecure ? '__Host-' : ''
    return `${prefix}${SESSION_COOKIE}${port === undefined ? '' : `_${port}`}`
  }

  /** Who the session is of; undefined = there is none, or it is over. `header`: all of `Cookie`. */
  fromCookie(header: string | undefined, host: string): AdminCaller | undefined {
    if (header === undefined || !header.includes(SESSION_COOKIE)) return undefined
    const start = `${this.#nameFor(host)}=`
    for (const pair of header.split(';')) {
      const text = pair.trim()
      if (!text.startsWith(start)) continue
      const found = this.#verify(text.slice(start.length))
      if (found !== undefined) return found
    }
    return undefined
  }

  #verify(value: string): AdminCaller | undefined {
    const match = /^(([wr])\.(\d{1,16})\.[\w-]{16}\.([\w-]{0,512}))\.([\w-]{43})$/.exec(value)
    if (match === null) return undefined
    const [, text = '', mode, expiresAt, name = '', mac = ''] = match
    const key = this.#keys.find((one) => one.mode === mode)
    if (key === undefined || !timingSafeEqual(digest(sign(key, text)), digest(mac))) return undefined
    if (Number(expiresAt) <= this.#options.now()) return undefined
    return callerBy(key, 'session', name === '' ? undefined : Buffer.from(name, 'base64url').toString())
  }
}

function createKey(mode: Key['mode'], token: string): Key {
  return { mode, digest: digest(token), secret: secretOf(token) }
}

const sign = ({ secret }: Key, text: string): string =>
  createHmac('sha256', secret).update(text).digest('base64url')

function callerBy({ mode }: Key, via: 'token' | 'session', by: string | undefined): AdminCaller {
  const canWrite = mode === 'w'
  return { who: by ?? (canWrite ? 'admin token' : 'read token'), canWrite, via }
}

/** A `Cookie` without sessions of the admin side; undefined = nothing is left. */
export function withoutSession(header: string): string | undefined {
  const kept = header.split(';').filter((pair) => !/^\s*(?:__Host-)?sluice_session(?:_\d+)?=/.test(pair))
  return kept.length === 0 ? undefined : kept.join(';').trim()
}
