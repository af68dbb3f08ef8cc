import { errorEntry, GatewayError } from '../core/errors.ts'
import type { RedisStore } from '../core/redis-store.ts'
import { checkContentDigest } from '../identity/content-digest.ts'
import { parseEntries, placed, readText } from '../identity/entry-file.ts'
import { LastGood } from '../identity/last-good.ts'
import { ReplayMemory } from '../identity/replay-memory.ts'
import { type MessageSignature, parseSignatures, type SignedMessage } from '../identity/signature-base.ts'
import {
  candidatesOf,
  checkSignature,
  type SignaturePolicy,
  type SignatureProblem,
  type VerifiedSignature,
} from '../identity/signature-check.ts'
import { createSignatureKeys, type SignatureKey, signatureKeySchema } from '../identity/signature-keys.ts'
import { defineFilter, type FilterContext, type FilterDeps, type FilterReply } from './filter.ts'
import { acceptSignature, DIGEST, type HmacOptions, hmacOptions, policyOf } from './hmac-options.ts'
import { challenge, counted, identify, leaveChallenge, reloadOnChange } from './identity-options.ts'
import { untilReady } from './store-ready.ts'

/** Resolves to false when it was used before. Rejects or throws when that cannot be said. */
type Remember = (verified: VerifiedSignature) => boolean | Promise<boolean>

function rememberHere({ replay, replayEntries }: HmacOptions, deps: FilterDeps): Remember {
  if (replay === 'off') return () => true
  // Not lost with an edit of the options.
  const memory = deps.shared(
    `hmac-replay:${deps.name}:${replayEntries}`,
    () => new ReplayMemory(replayEntries, deps.clock),
  )
  return ({ replayKey, replayUntil }) => {
    const answer = memory.add(replayKey, replayUntil)
    if (answer === 'full') throw new GatewayError('GW_AUTH_UNAVAILABLE', 'too many signatures to remember')
    return answer === 'new'
  }
}

function rememberIn(store: RedisStore, { replay }: HmacOptions, deps: FilterDeps): Remember {
  const prefix = typeof replay === 'object' ? replay.prefix : ''
  return async ({ replayKey, replayUntil }) => {
    try {
      const ttlMs = Math.max(1, Math.ceil(replayUntil - deps.clock.now()))
      return await store.setIfAbsent(prefix + replayKey, '1', ttlMs)
    } catch (cause) {
      throw new GatewayError('GW_AUTH_UNAVAILABLE', `store ${store.name}`, { cause })
    }
  }
}

/** Whether the body is what was signed. */
function digestProblem(
  ctx: FilterContext,
  signed: MessageSignature,
  isRequired: boolean,
): SignatureProblem | undefined {
  // A filter in front may have read only its beginning, whose digest says nothing about what follows.
  const isKnown = ctx.body === undefined ? ctx.contentLength === 0 : ctx.isBodyWhole
  if (!isKnown) return { code: 'GW_REQUEST_BODY_TOO_LARGE', detail: 'the digest cannot be checked' }
  const body = ctx.body ?? Buffer.alloc(0)
  const isCovered = signed.components.some(({ id }) => id === DIGEST)
  if (!isCovered) {
    if (body.length === 0 || !isRequired) return undefined
    return { code: 'GW_AUTH_SIGNATURE', detail: `not covered: ${DIGEST}` }
  }
  const field = ctx.receivedHeaders().get('content-digest') ?? ''
  const answer = checkContentDigest(field, body)
  if (answer === 'right') return undefined
  return {
    code: 'GW_AUTH_DIGEST',
    detail: answer === 'wrong' ? 'the digest differs' : 'no sha-256 and no sha-512 digest',
  }
}

function messageOf(ctx: FilterContext): SignedMessage {
  const { method, scheme, target, authority = '' } = ctx
  return { method, scheme, target, authority, headers: ctx.receivedHeaders() }
}

/** The first of the signatures that is right; what is wrong with the first one otherwise. */
function findRight(
  ctx: FilterContext,
  signatures: readonly MessageSignature[],
  keys: ReadonlyMap<string, SignatureKey>,
  policy: SignaturePolicy,
  now: number,
): VerifiedSignature | SignatureProblem {
  const message = messageOf(ctx)
  let first: SignatureProblem | undefined
  for (const each of candidatesOf(signatures, policy)) {
    const answer = checkSignature(message, each, keys, policy, now)
    if (!('code' in answer)) return answer
    first ??= answer
  }
  return first ?? { code: 'GW_AUTH_SIGNATURE', detail: 'no signature with the label or tag that counts' }
}

function refusal({ code, detail }: SignatureProblem, authenticate: string): FilterReply {
  if (code === 'GW_AUTH_SIGNATURE' || code === 'GW_AUTH_EXPIRED') return challenge(code, authenticate, detail)
  return { status: errorEntry(code).status, code, detail }
}

/**
 * HTTP Message Signatures (RFC 9421) with Content-Digest (RFC 9530). 401 GW_AUTH_MISSING, _SIGNATURE, _EXPIRED,
 * _REPLAYED; 400 GW_AUTH_DIGEST; 503 GW_AUTH_UNAVAILABLE.
 */
export const hmac = defineFilter({
  name: 'hmac',
  summary:
    'Signed requests (RFC 9421): shared secrets or public keys, body digest, replay protection; others get 401.',
  options: hmacOptions,
  create(settings, deps) {
    const { file, keys, allow, forward, headers, digest, maxBody, realm = deps.name } = settings
    const authenticate = `Signature realm="${realm}"`
    const missing = challenge('GW_AUTH_MISSING', authenticate)
    const refuseMissing = {
      ...missing,
      headers: { ...missing.headers, 'accept-signature': acceptSignature(settings) },
    }
    const policy = policyOf(settings)
    const where = settings.replay
    const store = typeof where === 'object' ? deps.resources.store(where.store) : undefined
    const remember = store === undefined ? rememberHere(settings, deps) : rememberIn(store, settings, deps)
    const held = new LastGood(async () => {
      const fromFile =
        file === undefined ? [] : parseEntries(file, await readText(file), 'keys', signatureKeySchema)
      return createSignatureKeys([...placed('keys', keys), ...fromFile])
    })
    reloadOnChange(deps, [file], held)

    const judge = (
      ctx: FilterContext,
      { key }: VerifiedSignature,
      isNew: boolean,
    ): FilterReply | undefined => {
      if (!isNew) return challenge('GW_AUTH_REPLAYED', authenticate)
      const { id, owner, roles, groups, scopes, metadata } = key
      const claims = { ...metadata, key: id }
      const principal = {
        id: owner,
        kind: 'hmac' as const,
        filter: deps.name,
        realm,
        claims,
        roles,
        groups,
        scopes,
      }
      return identify(ctx, principal, headers)
    }
    const unavailable = (thrown: unknown): FilterReply => {
      if (!(thrown instanceof GatewayError) || thrown.code !== 'GW_AUTH_UNAVAILABLE') throw thrown
      return { status: 503, code: 'GW_AUTH_UNAVAILABLE', headers: { 'retry-after': '1' } }
    }
    return {
      prepare: async () => {
        await Promise.all([held.prepare(), untilReady(store, deps)])
      },
      needsBody: { maxBytes: maxBody, whenLarger: 'refuse' },
      ownsHeaders: Object.keys(headers),
      inbound: counted(deps, (ctx) => {
        const signatures = parseSignatures(ctx.receivedHeaders())
        if (signatures?.length === 0)
          return allow === undefined ? refuseMissing : leaveChallenge(ctx, authenticate)
        if (!forward) for (const name of ['signature', 'signature-input']) ctx.headers.delete(name)
        if (signatures === undefined) {
          return challenge('GW_AUTH_SIGNATURE', authenticate, 'Signature and Signature-Input cannot be read')
        }
        const answer = findRight(ctx, signatures, held.value, policy, deps.clock.now())
        if ('code' in answer) return refusal(answer, authenticate)
        const wrongBody = digestProblem(ctx, answer.signature, digest)
        if (wrongBody !== undefined) return refusal(wrongBody, authenticate)
        try {
          const isNew = remember(answer)
          if (!(isNew instanceof Promise)) return judge(ctx, answer, isNew)
          return isNew.then((value) => judge(ctx, answer, value)).catch(unavailable)
        } catch (thrown) {
          return unavailable(thrown)
        }
      }),
    }
  },
})
