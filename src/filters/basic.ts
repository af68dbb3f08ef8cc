import { z } from 'zod'
import { errorEntry, GatewayError } from '../core/errors.ts'
import { BcryptThread } from '../identity/bcrypt-thread.ts'
import { placed } from '../identity/entry-file.ts'
import { usability } from '../identity/key-ring.ts'
import { LastGood } from '../identity/last-good.ts'
import { PasswordCheck } from '../identity/password-check.ts'
import { createUserList, parseBasic, readUsers, type User, userEntrySchema } from '../identity/user-list.ts'
import { durationOption } from './duration-option.ts'
import { defineFilter, type FilterContext, type FilterReply } from './filter.ts'
import {
  allowOption,
  challenge,
  counted,
  fileOption,
  identify,
  leaveChallenge,
  principalHeadersOption,
  realmOption,
  reloadOnChange,
} from './identity-options.ts'

const options = z
  .strictObject({
    file: fileOption()
      .optional()
      .describe(
        'Users: lines name:hash as htpasswd -B writes them, or YAML or JSON (by its name) with a list `users`; read again when it changes.',
      ),
    users: z.array(userEntrySchema).default([]).describe('Users written here.'),
    allow: allowOption(),
    realm: realmOption(),
    headers: principalHeadersOption(),
    forward: z.boolean().default(false).describe('Let Authorization go on to the service. Default false.'),
    cache: durationOption()
      .default(60_000)
      .describe(
        'A verified password is believed for this long; forgotten when the file changes. 0 = never. Default 1m.',
      ),
    concurrency: z
      .int()
      .min(1)
      .max(64)
      .default(2)
      .describe('Passwords checked at a time: each costs a core some 80 ms. Default 2.'),
    queue: z.int().min(0).default(64).describe('Requests that may wait for that; more get 503. Default 64.'),
  })
  .refine(({ file, users }) => file !== undefined || users.length > 0, { error: 'name users or file' })

/** RFC 7617: names and passwords. 401 GW_AUTH_MISSING, _INVALID, _EXPIRED; 503 GW_AUTH_BUSY. */
export const basic = defineFilter({
  name: 'basic',
  summary: 'Names and passwords (RFC 7617), hashed with bcrypt or scrypt in a file; others get 401.',
  options,
  create(settings, deps) {
    const { file, users, allow, forward, headers, realm = deps.name } = settings
    const authenticate = `Basic realm="${realm}", charset="UTF-8"`
    const held = new LastGood(async () => {
      const fromFile = file === undefined ? [] : await readUsers(file)
      const byName = createUserList([...placed('users', users), ...fromFile])
      return { byName, all: [...byName.values()] }
    })
    const check = new PasswordCheck({
      concurrency: settings.concurrency,
      maxWaiting: settings.queue,
      cacheMs: settings.cache,
      clock: deps.clock,
      bcrypt: deps.shared('bcrypt-thread', () => new BcryptThread()),
    })
    reloadOnChange(deps, [file], held, () => check.forget())

    const judge = (ctx: FilterContext, user: User | undefined, isRight: boolean): FilterReply | undefined => {
      const use = user === undefined || !isRight ? 'wrong' : usability(user, deps.clock.now())
      if (user === undefined || use !== 'usable') {
        return challenge(use === 'expired' ? 'GW_AUTH_EXPIRED' : 'GW_AUTH_INVALID', authenticate)
      }
      const { name, roles, groups, scopes, metadata } = user
      const principal = {
        id: name,
        kind: 'basic',
        filter: deps.name,
        realm,
        claims: metadata,
        roles,
        groups,
        scopes,
      }
      return identify(ctx, { ...principal, kind: 'basic' }, headers)
    }
    const overloaded = (thrown: unknown): FilterReply => {
      const code = thrown instanceof GatewayError ? thrown.code : undefined
      if (code !== 'GW_AUTH_BUSY' && code !== 'GW_AUTH_UNAVAILABLE') throw thrown
      return { status: errorEntry(code).status, code, headers: { 'retry-after': '1' } }
    }
    return {
      prepare: () => held.prepare(),
      ownsHeaders: Object.keys(headers),
      inbound: counted(deps, (ctx) => {
        const fields = ctx.headers.getAll('authorization')
        const [scheme, encoded = ''] = /^basic(?: +(.*))?$/i.exec(fields[0] ?? '') ?? []
        if (scheme === undefined) {
          if (allow === undefined) return challenge('GW_AUTH_MISSING', authenticate)
          return leaveChallenge(ctx, authenticate)
        }
        if (!forward) ctx.headers.delete('authorization')
        const credentials = fields.length === 1 ? parseBasic(encoded.trim()) : undefined
        if (credentials === undefined) return challenge('GW_AUTH_INVALID', authenticate)
        const { byName, all } = held.value
        const user = byName.get(credentials.user)
        // An unknown name costs what a known one does: time must not tell which names there are.
        const compared = user ?? check.decoyFor(credentials.user, all)
        if (compared === undefined) return challenge('GW_AUTH_INVALID', authenticate)
        const verdict = check.verify(
          credentials.user,
          credentials.password,
          compared.hash,
          user !== undefined,
        )
        if (!(verdict instanceof Promise)) return judge(ctx, user, verdict)
        return verdict.then((isRight) => judge(ctx, user, isRight), overloaded)
      }),
    }
  },
})
