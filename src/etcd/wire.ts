import { GatewayError } from '../core/errors.ts'

/** The words of etcd's v3 JSON gateway: keys and values are base64, 64-bit numbers are strings, zeros are left out. */

/** One key with what it holds. */
export interface EtcdEntry {
  readonly key: string
  readonly value: string
  /** Revision of its last change, for compare-and-set. */
  readonly modRevision: number
  /** Id of the lease that it goes with. Undefined = it stays. */
  readonly lease: string | undefined
}

/** A change of one key. `value` of a deleted one is empty: etcd does not tell what it was. */
export interface EtcdEvent extends EtcdEntry {
  readonly type: 'put' | 'delete'
}

export interface RawEntry {
  readonly key?: string
  readonly value?: string
  readonly mod_revision?: string
  readonly lease?: string
}

/** Text as etcd wants it. */
export const toBase64 = (text: string): string => Buffer.from(text).toString('base64')

/** The first key behind all that begin with the prefix; with an empty prefix: behind all keys. */
export function prefixEnd(prefix: string): string {
  const bytes = Buffer.from(prefix)
  for (let i = bytes.length - 1; i >= 0; i--) {
    const byte = bytes[i] as number
    if (byte === 0xff) continue
    bytes[i] = byte + 1
    return bytes.subarray(0, i + 1).toString('base64')
  }
  return Buffer.from([0]).toString('base64')
}

/** All keys that begin with the prefix, for a range, a watch or a deletion. */
export function prefixRange(prefix: string): { readonly key: string; readonly range_end: string } {
  // No key is empty: from the zero byte on, to no end, is every key.
  return { key: prefix === '' ? 'AA==' : toBase64(prefix), range_end: prefixEnd(prefix) }
}

/** What etcd sent, as text. */
export function toEntry({ key = '', value = '', mod_revision = '0', lease = '0' }: RawEntry): EtcdEntry {
  return {
    key: Buffer.from(key, 'base64').toString('utf8'),
    value: Buffer.from(value, 'base64').toString('utf8'),
    modRevision: Number(mod_revision),
    lease: lease === '0' ? undefined : lease,
  }
}

/** Numbers of gRPC that mean something here. */
const CODE = { invalid: 3, permission: 7, precondition: 9, range: 11, unavailable: 14, unauthenticated: 16 }
const MAX_WORDS = 200

/** An answer that is not 200, or the reason of a watch that etcd ended. */
export interface EtcdRefusal {
  /** Number of gRPC; 0 when it is not etcd that answered. */
  readonly code: number
  readonly words: string
}

/** Reads the body of an answer that is not 200. */
export function readRefusal(status: number, text: string): EtcdRefusal {
  try {
    const { error, message, code } = JSON.parse(text) as { error?: string; message?: string; code?: number }
    return { code: code ?? 0, words: (error ?? message ?? text).slice(0, MAX_WORDS) }
  } catch {
    return { code: 0, words: `HTTP ${status} ${text.trim().slice(0, MAX_WORDS)}` }
  }
}

/** `rpc error: code = PermissionDenied desc = etcdserver: …`, as a watch gives its end. */
export function readCancelReason(reason: string): EtcdRefusal {
  const [, name = '', words = reason] = /code = (\w+) desc = (.*)/s.exec(reason) ?? []
  const names: Record<string, number> = {
    InvalidArgument: CODE.invalid,
    PermissionDenied: CODE.permission,
    OutOfRange: CODE.range,
    Unavailable: CODE.unavailable,
    Unauthenticated: CODE.unauthenticated,
  }
  return { code: names[name] ?? 0, words: words.slice(0, MAX_WORDS) }
}

/** The login is over (etcd forgets it with its process, and after a time), or there was none. */
export function wantsLogin({ code, words }: EtcdRefusal): boolean {
  return (
    code === CODE.unauthenticated ||
    words.includes('user name is empty') ||
    words.includes('revision in header')
  )
}

/** A login where the server asks for none. */
export const isAuthOff = ({ code, words }: EtcdRefusal): boolean =>
  code === CODE.precondition && words.includes('authentication is not enabled')

/** Lease ids and revisions that are gone. */
export const isUnknownLease = ({ words }: EtcdRefusal): boolean => words.includes('lease not found')
export const isCompacted = ({ code, words }: EtcdRefusal): boolean =>
  code === CODE.range && words.includes('compacted')

/** Another member may do better: this one is cut off, without a leader, or on its way down. */
export function isMemberFault({ code, words }: EtcdRefusal): boolean {
  return (
    code === CODE.unavailable || /deadline exceeded|timed out|no leader|stopped|too many requests/.test(words)
  )
}

/** The refusal as an error of ours. */
export function refusalError(refusal: EtcdRefusal, what: string): GatewayError {
  const { code, words } = refusal
  if (code === CODE.permission) {
    return new GatewayError(
      'GW_REGISTRY_ACL',
      `etcd: ${what}: ${words}: give the user’s role the right to it`,
    )
  }
  if (words.includes('CommonName')) {
    const fix = 'its JSON gateway wants client certificates without a common name (names in the SAN alone)'
    return new GatewayError('GW_REGISTRY_ACL', `etcd: ${what}: ${words}: ${fix}`)
  }
  if (words.includes('user name is empty')) {
    return new GatewayError('GW_REGISTRY_ACL', `etcd: ${what}: ${words}: set username and password`)
  }
  if (code === CODE.unauthenticated || words.includes('authentication failed')) {
    return new GatewayError('GW_REGISTRY_ACL', `etcd: ${what}: ${words}`)
  }
  if (/deadline exceeded|timed out/.test(words)) {
    return new GatewayError('GW_REGISTRY_TIMEOUT', `etcd: ${what}: ${words} (no quorum?)`)
  }
  if (code === CODE.unavailable) return new GatewayError('GW_REGISTRY_UNREACHABLE', `etcd: ${what}: ${words}`)
  const hint = code === 0 ? ': is it etcd 3.4 or newer, with its JSON gateway on?' : ''
  return new GatewayError('GW_REGISTRY_ANSWER', `etcd: ${what}: ${words}${hint}`)
}
