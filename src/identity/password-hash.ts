import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { GatewayError } from '../core/errors.ts'

/** Memory one check may take. Bytes. */
const MAX_MEMORY = 128 * 1024 * 1024
const MAX_BCRYPT_COST = 14
/** What bcrypt looks at; the rest of a longer password would not count. Bytes. */
export const BCRYPT_BYTES = 72

export interface ScryptHash {
  readonly kind: 'scrypt'
  /** log2 of N. */
  readonly ln: number
  readonly r: number
  readonly p: number
  readonly salt: Buffer
  readonly key: Buffer
}

export interface BcryptHash {
  readonly kind: 'bcrypt'
  /** `$2b$…`, as bcryptjs reads it. */
  readonly text: string
}

export type PasswordHash = ScryptHash | BcryptHash

const SCRYPT =
  /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([\w+/-]{11,128})={0,2}\$([\w+/-]{22,128})={0,2}$/
const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/

/**
 * Reads `$2y$…` (bcrypt, as htpasswd -B writes it) or `$scrypt$ln=…,r=…,p=…$salt$hash` (passlib's form). The problem
 * as a text otherwise; the hash itself is never repeated.
 */
export function parseHash(text: string): PasswordHash | string {
  const bcrypt = BCRYPT.exec(text)
  if (bcrypt !== null) {
    const cost = Number(bcrypt[1])
    if (cost < 4 || cost > MAX_BCRYPT_COST)
      return `bcrypt with cost ${cost}: 4 to ${MAX_BCRYPT_COST} are taken`
    return { kind: 'bcrypt', text: `$2b$${text.slice(4)}` }
  }
  const match = SCRYPT.exec(text)
  if (match === null) {
    return 'no bcrypt ($2y$…) and no scrypt ($scrypt$…) hash; make one with `sluice hash` or `htpasswd -B`'
  }
  const [ln, r, p] = [Number(match[1]), Number(match[2]), Number(match[3])]
  if (ln < 10 || r < 1 || p < 1 || p > 4 || 128 * r * 2 ** ln >= MAX_MEMORY) {
    return `scrypt with ln=${ln},r=${r},p=${p}: ln from 10, p up to 4 and less than 128 MiB are taken`
  }
  const bytes = (part: string | undefined) => Buffer.from(part ?? '', 'base64')
  return { kind: 'scrypt', ln, r, p, salt: bytes(match[4]), key: bytes(match[5]) }
}

function derive(password: string, { ln, r, p, salt, key }: ScryptHash): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, key.length, { N: 2 ** ln, r, p, maxmem: 2 * MAX_MEMORY }, (error, derived) => {
      if (error === null) resolve(derived)
      else reject(error)
    })
  })
}

/** Off the event loop, in libuv's threads. */
export async function verifyScrypt(password: string, hash: ScryptHash): Promise<boolean> {
  return timingSafeEqual(await derive(password, hash), hash.key)
}

/** `$scrypt$ln=15,r=8,p=1$…`: some 80 ms and 32 MiB a check. */
export async function hashScrypt(password: string): Promise<string> {
  const hash: ScryptHash = {
    kind: 'scrypt',
    ln: 15,
    r: 8,
    p: 1,
    salt: randomBytes(16),
    key: Buffer.alloc(32),
  }
  const text = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '')
  return `$scrypt$ln=15,r=8,p=1$${text(hash.salt)}$${text(await derive(password, hash))}`
}

/** A control character in a name or password is not allowed (RFC 7617 §2), and some programs stop at a NUL. */
export function hasControl(text: string): boolean {
  return /[\x00-\x1f\x7f-\x9f]/.test(text)
}

/** The hash, or GW_CONFIG_INVALID. */
export function requireHash(text: string, place: string): PasswordHash {
  const hash = parseHash(text)
  if (typeof hash === 'string') throw new GatewayError('GW_CONFIG_INVALID', `${place}: ${hash}`)
  return hash
}
