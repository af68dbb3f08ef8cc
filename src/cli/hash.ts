import { randomBytes } from 'node:crypto'
import { hash as bcryptHash } from 'bcryptjs'
import { GatewayError } from '../core/errors.ts'
import { keyDigest } from '../identity/key-ring.ts'
import { BCRYPT_BYTES, hasControl, hashScrypt } from '../identity/password-hash.ts'
import type { ExitCode, Terminal } from './terminal.ts'

export interface HashOptions {
  readonly type: 'sha256' | 'scrypt' | 'bcrypt'
  readonly generate?: true
  readonly id?: string
  readonly owner?: string
  readonly json?: true
}

/** Bits enough that a fast hash is safe; a shorter text is no random key. Characters. */
const MIN_KEY = 22
/** Some 250 ms a check in JavaScript, in a thread of its own. */
const BCRYPT_COST = 12

async function secretOf({ type, generate }: HashOptions, terminal: Terminal): Promise<string> {
  const isKey = type === 'sha256'
  // The prefix tells scanners of repositories what they found.
  if (generate === true) return `${isKey ? 'sk_' : ''}${randomBytes(32).toString('base64url')}`
  const secret = (await terminal.secret?.(isKey ? 'Key: ' : 'Password: ')) ?? ''
  if (secret === '' || hasControl(secret)) {
    throw new GatewayError('GW_CLI_MISUSE', 'the secret is empty, or it holds a control character')
  }
  if (isKey && (secret.length < MIN_KEY || /[^\x21-\x7e]/.test(secret))) {
    const advice = 'use --generate; for a password use --type scrypt'
    throw new GatewayError('GW_CLI_MISUSE', `this is no random key of ${MIN_KEY} ASCII characters; ${advice}`)
  }
  const normal = secret.normalize('NFC')
  if (type === 'bcrypt' && Buffer.byteLength(normal) > BCRYPT_BYTES) {
    throw new GatewayError(
      'GW_CLI_MISUSE',
      `bcrypt sees ${BCRYPT_BYTES} bytes of a password; use --type scrypt`,
    )
  }
  return normal
}

/** `sluice hash`: an entry for the filters `api-key` or `basic`. Throws GW_CLI_MISUSE. */
export async function hash(options: HashOptions, terminal: Terminal): Promise<ExitCode> {
  const { type, generate, json, owner } = options
  if (owner?.includes(':') === true && type !== 'sha256') {
    throw new GatewayError('GW_CLI_MISUSE', 'a user name has no colon (RFC 7617)')
  }
  const secret = await secretOf(options, terminal)
  const shown = generate === true ? { secret } : {}
  if (type === 'sha256') {
    const sha256 = keyDigest(secret)
    const entry = { id: options.id ?? `key-${sha256.slice(0, 8)}`, sha256, owner: owner ?? 'NAME' }
    if (json === true) terminal.out(JSON.stringify({ ...shown, entry }, undefined, 2))
    else {
      if (generate === true) terminal.out(`# for its owner, shown once: ${secret}`)
      terminal.out(
        `- { id: ${JSON.stringify(entry.id)}, sha256: "${sha256}", owner: ${JSON.stringify(entry.owner)} }`,
      )
    }
    return 0
  }
  const text = type === 'scrypt' ? await hashScrypt(secret) : await bcryptHash(secret, BCRYPT_COST)
  if (json === true) {
    const entry = { name: owner ?? 'NAME', hash: text }
    terminal.out(JSON.stringify({ ...shown, entry }, undefined, 2))
    return 0
  }
  if (generate === true) terminal.out(`# for its owner, shown once: ${secret}`)
  terminal.out(`${owner ?? 'NAME'}:${text}`)
  return 0
}
