import { z } from 'zod'
import type { SignaturePolicy } from '../identity/signature-check.ts'
import { signatureKeySchema } from '../identity/signature-keys.ts'
import { durationOption } from './duration-option.ts'
import { allowOption, fileOption, principalHeadersOption, realmOption } from './identity-options.ts'

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
    prefix: z
      .string()
      .default('replay:')
      .describe('Of the keys, after the store’s keyPrefix. Default replay:.'),
  }),
])

/** What an operator says of signatures. */
export const hmacOptions = z
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

export type HmacOptions = z.output<typeof hmacOptions>

/** What may stand for the whole address. */
const TARGET_URI = [
  ['"@target-uri"'],
  ['"@authority"', '"@path"', '"@query"'],
  ['"@authority"', '"@request-target"'],
]
/** The component of a body. */
export const DIGEST = '"content-digest"'

/** What a signature must be like. */
export function policyOf({ components, label, tag, maxAge, clockSkew, nonce }: HmacOptions): SignaturePolicy {
  const required = components.map((name) => (name === '@target-uri' ? TARGET_URI : [[`"${name}"`]]))
  return { required, label, tag, maxAgeMs: maxAge, skewMs: clockSkew, needsNonce: nonce }
}

/** RFC 9421 §5.1: what a signature would have to look like. */
export function acceptSignature({ components, digest, label = 'sig', tag }: HmacOptions): string {
  const covered = [...components.map((name) => `"${name}"`), ...(digest ? [DIGEST] : [])].join(' ')
  const key = /^[a-z*][a-z0-9_.*-]*$/.test(label) ? label : 'sig'
  const suffix = tag === undefined || /[^\x20-\x7e]|["\\]/.test(tag) ? '' : `;tag="${tag}"`
  return `${key}=(${covered});created;keyid${suffix}`
}
