import { createHash } from 'node:crypto'
import type { ErrorCode } from '../core/errors.ts'
import { usability } from './key-ring.ts'
import { type MessageSignature, type SignedMessage, signatureBase } from './signature-base.ts'
import { type SignatureKey, signatureIdentity } from './signature-keys.ts'

/** What a signature must be like. ms. */
export interface SignaturePolicy {
  /** Serialized component ids, e.g. `"@method"`. Each must be covered, or for a list one of its alternatives whole. */
  readonly required: readonly (readonly (readonly string[])[])[]
  readonly label: string | undefined
  readonly tag: string | undefined
  /** Signed longer ago: refused. */
  readonly maxAgeMs: number
  /** What clocks may differ by. */
  readonly skewMs: number
  readonly needsNonce: boolean
}

export interface SignatureProblem {
  readonly code: ErrorCode
  /** For the client: what to mend; nothing that helps to forge one. */
  readonly detail: string
}

/** A signature that is right. */
export interface VerifiedSignature {
  readonly key: SignatureKey
  readonly signature: MessageSignature
  /** What it must not come twice by, and until when. ms since the epoch. */
  readonly replayKey: string
  readonly replayUntil: number
}

const problem = (detail: string, code: ErrorCode = 'GW_AUTH_SIGNATURE'): SignatureProblem => ({
  code,
  detail,
})

function seconds(signature: MessageSignature, name: string): number | undefined | 'malformed' {
  const value = signature.parameters.get(name)
  if (value === undefined) return undefined
  return typeof value === 'number' && Number.isInteger(value) ? value * 1000 : 'malformed'
}

function timeProblem(
  signature: MessageSignature,
  { maxAgeMs, skewMs }: SignaturePolicy,
  now: number,
): SignatureProblem | { readonly until: number } {
  const created = seconds(signature, 'created')
  const expires = seconds(signature, 'expires')
  if (typeof created !== 'number') return problem('the parameter created is missing')
  if (expires === 'malformed') return problem('the parameter expires is no time')
  if (created > now + skewMs) return problem('the parameter created lies in the future')
  const end = Math.min(created + maxAgeMs, expires ?? Number.POSITIVE_INFINITY) + skewMs
  return now >= end ? problem('the signature is too old', 'GW_AUTH_EXPIRED') : { until: end }
}

function coverageProblem(
  signature: MessageSignature,
  { required }: SignaturePolicy,
): SignatureProblem | undefined {
  const covered = new Set(signature.components.map(({ id }) => id))
  for (const alternatives of required) {
    if (alternatives.some((all) => all.every((id) => covered.has(id)))) continue
    return problem(`not covered: ${alternatives.map((all) => all.join(' ')).join(' or ')}`)
  }
  return undefined
}

/** Of these signatures, those that the policy is about. */
export function candidatesOf(
  signatures: readonly MessageSignature[],
  { label, tag }: SignaturePolicy,
): readonly MessageSignature[] {
  return signatures.filter(
    (each) =>
      (label === undefined || each.label === label) &&
      (tag === undefined || each.parameters.get('tag') === tag),
  )
}

/** Checks one signature: cheap rules first, the cryptography last. Nothing in the answer tells which key ids exist. */
export function checkSignature(
  message: SignedMessage,
  signature: MessageSignature,
  keys: ReadonlyMap<string, SignatureKey>,
  policy: SignaturePolicy,
  now: number,
): VerifiedSignature | SignatureProblem {
  const time = timeProblem(signature, policy, now)
  if ('code' in time) return time
  const uncovered = coverageProblem(signature, policy)
  if (uncovered !== undefined) return uncovered
  const { parameters } = signature
  const nonce = parameters.get('nonce')
  if (
    nonce !== undefined ? typeof nonce !== 'string' || nonce === '' || nonce.length > 256 : policy.needsNonce
  ) {
    return problem('the parameter nonce is missing or no short text')
  }
  const base = signatureBase(message, signature)
  if (typeof base === 'string') return problem(`the component ${base} cannot be had of this request`)
  const keyid = parameters.get('keyid')
  const key = typeof keyid === 'string' ? keys.get(keyid) : undefined
  const alg = parameters.get('alg')
  const isRight =
    key !== undefined && (alg === undefined || alg === key.algorithm) && key.verify(base, signature.signature)
  if (!isRight) return problem('no known key made this signature')
  const use = usability(key, now)
  if (use !== 'usable') {
    return problem('the key is not valid now', use === 'expired' ? 'GW_AUTH_EXPIRED' : 'GW_AUTH_SIGNATURE')
  }
  const hasNonce = typeof nonce === 'string'
  const replayKey = createHash('sha256')
    .update(`${hasNonce ? 'nonce' : 'signature'}\0${key.id}\0`)
    .update(hasNonce ? nonce : signatureIdentity(key.algorithm, signature.signature))
    .digest('base64url')
  return { key, signature, replayKey, replayUntil: time.until }
}
