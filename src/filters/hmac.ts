import { z } from 'zod'
import { errorEntry, GatewayError } from '../core/errors.ts'
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
import { createSignatureKeys, signatureKeySchema } from '../identity/signature-keys.ts'
import { defineFilter, type FilterContext, type FilterDeps, type FilterReply } from './filter.ts'
import {
  allowOption,
  challenge,
  durationOption,
  fileOption,
  identify,
  leaveChallenge,
  principalHeadersOption,
  realmOption,
  reloadOnChange,
} from './identity-options.ts'

const component = z
  .string()
  .regex(/^(?:@(?:method|target-uri|authority|scheme|request-target|path|query)|[a-z0-9!#$%&'*+.^_`|~-]+)$/, {
    error:
      'write @method, @target-uri, @authority, @scheme, @request-target, @path, @query or a header in lower case',
  })

const replay = z.union([
  z.enum(['memory', 'off']),
  z.strictObject({
    store: z.string().describe('Of `stores`.'),
    prefix: z.string().default('sluice:replay:').describe('Of the keys. Default sluice:replay:.'),
  }),
])

const options = z
  .strictObject({
    file: fileOption().optional().describe('YAML or JSON with a list `keys`; read again when it changes.'),
    keys: z.array(signatureKeySchema).default([]).describe('Keys written here.'),
    components: z
      .array(component)
      .default(['@method', '@target-uri'])
      .describe(
        'What must be signed. @target-uri may be signed as @authority, @path and @query, too. Default @method, @target-uri.',
      ),
    digest: z
      .boolean()
      .default(true)
      .describe(
        'A body must have a signed Content-Digest (sha-256, sha-512). One that is signed is checked in any case. Default true.',
      ),
    maxBody: z
      .int()
      .min(1)
      .default(1_048_576)
      .describe(
        'Larger bodies are refused (413): they are held until their digest is known. Bytes. Default 1048576.',
      ),
    maxAge: durationOption().default(300_000).describe('Signed longer ago: refused. Default 5m.'),
    clockSkew: durationOption().default(30_000).describe('What clocks may differ by. Default 30s.'),
    replay: replay
      .default('memory')
      .describe(
        'Where used signatures are remembered until they are too old: memory = in this process, { store } = in Redis, for several gateways or processes; off = a request may come again. Default memory.',
      ),
    replayEntries: z
      .int()
      .min(1)
      .default(100_000)
      .describe('Signatures remembered in memory; beyond that requests are refused (503). Default 100000.'),
    nonce: z.boolean().default(false).describe('The parameter nonce must be there. Default false.'),
    label: z.string().min(1).optional().describe('Only the signature of this label counts. Default: any.'),
    tag: z.string().min(1).optional().describe('Only signatures with this tag count. Default: any.'),
    allow: allowOption(),
    realm: realmOption(),
    headers: principalHeadersOption(),
    forward: z
      .boolean()
      .default(false)
      .describe('Let Signature and Signature-Input go on to the service. Default false.'),
  })
  .refine(({ file, keys }) => file !== undefined || keys.length > 0, { error: 'name keys or file' })

type Options = z.output<typeof options>

/** What may stand for the whole address. */
const TARGET_URI = [
  ['"@target-uri"'],
  ['"@authority"', '"@path"', '"@query"'],
  ['"@authority"', '"@request-target"'],
]
const DIGEST = '"content-digest"'

function policyOf({ components, label, tag, maxAge, clockSkew, nonce }: Options): SignaturePolicy {
  const required = components.map((name) => (name === '@target-uri' ? TARGET_URI : [[`"${name}"`]]))
  return { required, label, tag, maxAgeMs: maxAge, skewMs: clockSkew, needsNonce: nonce }
}

/** Resolves to false when it was used before. Rejects or throws when that cannot be said. */
type Remember = (verified: VerifiedSignature) => boolean | Promise<boolean>

function createRemember({ replay: where, replayEntries }: Options, deps: FilterDeps): Remember {
  if (where === 'off') return () => true
  if (where === 'memory') {
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
  const store = deps.resources.store(where.store)
  return async ({ replayKey, replayUntil }) => {
    try {
      return await store.setIfAbsent(where.prefix + replayKey, '1', Math.ceil(replayUntil - deps.clock.now()))
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

function refusal({ code, detail }: SignatureProblem, authenticate: string): FilterReply {
  if (code === 'GW_AUTH_SIGNATURE' || code === 'GW_AUTH_EXPIRED') return challenge(code, authenticate, detail)
  return { status: errorEntry(code).status, code, detail }
}

/** RFC 9421 §5.1: what a signature would have to look like. */
function acceptSignature({ components, digest, label = 'sig', tag }: Options): string {
  const covered = [...components.map((name) => `"${name}"`), ...(digest ? [DIGEST] : [])].join(' ')
  const key = /^[a-z*][a-z0-9_.*-]*$/.test(label) ? label : 'sig'
  const suffix = tag === undefined || /[^\x20-\x7e]|["\\]/.test(tag) ? '' : `;tag="${tag}"`
  return `${key}=(${covered});created;keyid${suffix}`
}

/**
 * HTTP Message Signatures (RFC 9421) with Content-Digest (RFC 9530). 401 GW_AUTH_MISSING, _SIGNATURE, _EXPIRED,
 * _REPLAYED; 400 GW_AUTH_DIGEST; 503 GW_AUTH_UNAVAILABLE.
 */
export const hmac = defineFilter({
  name: 'hmac',
  summary:
    'Signed requests (RFC 9421): shared secrets or public keys, body digest, replay protection; others get 401.',
  options,
  create(settings, deps) {
    const { file, keys, allow, forward, headers, digest, maxBody, realm = deps.name } = settings
    const authenticate = `Signature realm="${realm}"`
    const missing = challenge('GW_AUTH_MISSING', authenticate)
    const refuseMissing = {
      ...missing,
      headers: { ...missing.headers, 'accept-signature': acceptSignature(settings) },
    }
    const policy = policyOf(settings)
    const remember = createRemember(settings, deps)
    const held = new LastGood(async () => {
      const fromFile =
        file === undefined ? [] : parseEntries(file, await readText(file), 'keys', signatureKeySchema)
      return createSignatureKeys([...placed('keys', keys), ...fromFile])
    })
    reloadOnChange(deps, [file], held)

    const check = (ctx: FilterContext, candidates: readonly MessageSignature[]) => {
      const message = messageOf(ctx)
      let first: SignatureProblem | undefined
      for (const each of candidates) {
        const answer = checkSignature(message, each, held.value, policy, deps.clock.now())
        if (!('code' in answer)) return answer
        first ??= answer
      }
      return (
        first ?? {
          code: 'GW_AUTH_SIGNATURE' as const,
          detail: 'no signature with the label or tag that counts',
        }
      )
    }
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
      prepare: () => held.prepare(),
      needsBody: { maxBytes: maxBody, whenLarger: 'refuse' },
      ownsHeaders: Object.keys(headers),
      inbound(ctx) {
        const signatures = parseSignatures(ctx.receivedHeaders())
        if (signatures?.length === 0)
          return allow === undefined ? refuseMissing : leaveChallenge(ctx, authenticate)
        if (!forward) for (const name of ['signature', 'signature-input']) ctx.headers.delete(name)
        if (signatures === undefined) {
          return challenge('GW_AUTH_SIGNATURE', authenticate, 'Signature and Signature-Input cannot be read')
        }
        const answer = check(ctx, candidatesOf(signatures, policy))
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
      },
    }
  },
})
