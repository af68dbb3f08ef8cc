import { hash } from 'node:crypto'
import { z } from 'zod'
import { type Placed, refuseDuplicates } from './entry-file.ts'

const moment = () =>
  z
    .union([z.iso.datetime({ offset: true }), z.iso.date()], {
      error: 'write a date or a time: 2027-01-31, 2027-01-31T12:00:00Z',
    })
    .transform((text) => Date.parse(text))

const names = (what: string) => z.array(z.string().min(1).max(256)).default([]).describe(what)

/** What every kind of credential says about its owner and about when it may be used. */
export const credentialShape = {
  roles: names('Roles of the principal.'),
  groups: names('Groups of the principal.'),
  scopes: names('Scopes of the principal.'),
  metadata: z
    .record(z.string().regex(/^[\w.-]{1,64}$/), z.union([z.string(), z.number(), z.boolean()]))
    .default({})
    .describe('Becomes claims of the principal; nothing secret.'),
  notBefore: moment().optional().describe('Not valid before. Default: valid at once.'),
  expires: moment().optional().describe('Not valid from then on. Default: never ends.'),
  disabled: z.boolean().default(false).describe('true = refused. Default false.'),
}

/** What `credentialShape` becomes. Times: ms since the epoch. */
export interface CredentialFacts {
  readonly roles: readonly string[]
  readonly groups: readonly string[]
  readonly scopes: readonly string[]
  readonly metadata: Readonly<Record<string, string | number | boolean>>
  readonly notBefore?: number | undefined
  readonly expires?: number | undefined
  readonly disabled: boolean
}

/** One API key as files and configuration hold it. */
export const keyEntrySchema = z.strictObject({
  id: z
    .string()
    .regex(/^[\w.:@/+-]{1,128}$/, { error: 'write 1 to 128 letters, digits or _.:@/+-' })
    .describe('Names the key in logs and claims; an owner may have several keys.'),
  sha256: z
    .string()
    .regex(/^[0-9a-fA-F]{64}$/, { error: 'write the SHA-256 of the key as 64 hex digits (sluice hash)' })
    .transform((text) => text.toLowerCase())
    .describe('SHA-256 of the key, hex; `sluice hash --generate` makes both.'),
  owner: z.string().min(1).max(256).describe('Id of the principal.'),
  ...credentialShape,
})

export type KeyEntry = z.output<typeof keyEntrySchema>

/**
 * What stands for a key at rest. A fast hash is right here, unlike for passwords: keys are random with at least
 * 128 bits, so nobody can try them all, however fast each try is.
 */
export function keyDigest(key: string): string {
  return hash('sha256', key)
}

/** Whether a credential may be used now. */
export function usability(
  { disabled, notBefore, expires }: CredentialFacts,
  now: number,
): 'usable' | 'disabled' | 'not-yet' | 'expired' {
  if (disabled) return 'disabled'
  if (notBefore !== undefined && now < notBefore) return 'not-yet'
  return expires !== undefined && now >= expires ? 'expired' : 'usable'
}

/**
 * The keys of files and configuration by digest. The time of the look-up tells at most something about digests,
 * and from a digest nobody gets to a key. Throws GW_CONFIG_INVALID for an id or key that stands twice.
 */
export function createKeyRing(entries: readonly Placed<KeyEntry>[]): ReadonlyMap<string, KeyEntry> {
  refuseDuplicates(entries, 'id', ({ id }) => id)
  refuseDuplicates(entries, 'key', ({ sha256 }) => sha256)
  return new Map(entries.map(({ value }) => [value.sha256, value]))
}
