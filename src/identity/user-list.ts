import { isUtf8 } from 'node:buffer'
import { z } from 'zod'
import { GatewayError } from '../core/errors.ts'
import { type Placed, parseEntries, readText, refuseDuplicates } from './entry-file.ts'
import { type CredentialFacts, credentialShape } from './key-ring.ts'
import { hasControl, type PasswordHash, parseHash } from './password-hash.ts'

const userName = z
  .string()
  .min(1)
  .max(256)
  .refine((name) => !name.includes(':') && !hasControl(name), {
    error: 'a user name has no colon and no control characters (RFC 7617)',
  })
  .transform((name) => name.normalize('NFC'))

/** One user as files and configuration hold it. */
export const userEntrySchema = z.strictObject({
  name: userName.describe('What the client sends; id of the principal.'),
  hash: z
    .string()
    .superRefine((text, ctx) => {
      const hash = parseHash(text)
      if (typeof hash === 'string') ctx.addIssue({ code: 'custom', message: hash })
    })
    .describe('bcrypt ($2y$…, htpasswd -B) or scrypt ($scrypt$…, sluice hash).'),
  ...credentialShape,
})

export type UserEntry = z.output<typeof userEntrySchema>

export interface User extends CredentialFacts {
  readonly name: string
  readonly hash: PasswordHash
}

const NO_FACTS = { roles: [], groups: [], scopes: [], metadata: {}, disabled: false }

/** Lines `name:hash`, `#` begins a comment. Throws GW_CONFIG_INVALID with `file:line`, never with a hash. */
function parseLines(file: string, text: string): readonly Placed<UserEntry>[] {
  const entries: Placed<UserEntry>[] = []
  const problems: string[] = []
  text.split(/\r?\n/).forEach((line, index) => {
    const place = `${file}:${index + 1}`
    if (line.trim() === '' || line.trimStart().startsWith('#')) return
    const colon = line.indexOf(':')
    const result = userEntrySchema.safeParse({
      name: line.slice(0, colon),
      hash: line.slice(colon + 1).trim(),
    })
    if (colon === -1) problems.push(`${place}: write name:hash`)
    else if (result.success) entries.push({ value: result.data, place })
    else problems.push(...result.error.issues.map(({ message }) => `${place}: ${message}`))
  })
  if (problems.length > 0) throw new GatewayError('GW_CONFIG_INVALID', problems.join('\n'))
  return entries
}

/** Reads a users file: YAML or JSON by its name, else lines as htpasswd writes them. Throws GW_CONFIG_INVALID. */
export async function readUsers(file: string): Promise<readonly Placed<UserEntry>[]> {
  const text = await readText(file)
  return /\.(?:ya?ml|json)$/i.test(file)
    ? parseEntries(file, text, 'users', userEntrySchema)
    : parseLines(file, text)
}

/** The users by name. Throws GW_CONFIG_INVALID for a name that stands twice. */
export function createUserList(entries: readonly Placed<UserEntry>[]): ReadonlyMap<string, User> {
  refuseDuplicates(entries, 'user', ({ name }) => name)
  return new Map(
    entries.map(({ value }) => [
      value.name,
      { ...NO_FACTS, ...value, hash: parseHash(value.hash) as PasswordHash },
    ]),
  )
}

/**
 * Name and password of an `Authorization: Basic` header's value after the scheme (RFC 7617 §2): UTF-8, the first
 * colon parts them. Undefined when it is not that.
 */
export function parseBasic(
  encoded: string,
): { readonly user: string; readonly password: string } | undefined {
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(encoded) || encoded.length > 2048) return undefined
  const bytes = Buffer.from(encoded, 'base64')
  if (!isUtf8(bytes)) return undefined
  const text = bytes.toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 1 || colon === text.length - 1 || hasControl(text)) return undefined
  return { user: text.slice(0, colon).normalize('NFC'), password: text.slice(colon + 1).normalize('NFC') }
}
