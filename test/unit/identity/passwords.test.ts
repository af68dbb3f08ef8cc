import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hash as bcryptHash } from 'bcryptjs'
import { afterAll, expect, test } from 'vitest'
import { BcryptThread } from '../../../src/identity/bcrypt-thread.ts'
import { PasswordCheck } from '../../../src/identity/password-check.ts'
import {
  hashScrypt,
  type PasswordHash,
  parseHash,
  verifyScrypt,
} from '../../../src/identity/password-hash.ts'
import { createUserList, parseBasic, readUsers } from '../../../src/identity/user-list.ts'

const folder = mkdtempSync(join(tmpdir(), 'sluice-users-'))
const thread = new BcryptThread()
afterAll(() => {
  thread.close()
  rmSync(folder, { recursive: true })
})
/** passlib.hash.scrypt of "password", of its documentation. */
const PASSLIB = '$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E'
/** `htpasswd -nbBC 5`, its form of the version. */
const htpasswd = async (password: string) => (await bcryptHash(password, 4)).replace('$2b$', '$2y$')
const scryptOf = (text: string) => parseHash(text) as PasswordHash & { kind: 'scrypt' }
const basic = (text: string | Buffer) => parseBasic(Buffer.from(text).toString('base64'))

test('scrypt hashes of other programs are understood, and ours are right', async () => {
  expect(await verifyScrypt('password', scryptOf(PASSLIB))).toBe(true)
  expect(await verifyScrypt('Password', scryptOf(PASSLIB))).toBe(false)
  const own = await hashScrypt('geheim: ü')
  expect(own).toMatch(/^\$scrypt\$ln=15,r=8,p=1\$[\w+/]{22}\$[\w+/]{43}$/)
  expect(await verifyScrypt('geheim: ü', scryptOf(own))).toBe(true)
})

test.each([
  '',
  'plain',
  '{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=',
  '$apr1$x$y',
  '$2y$05$short',
  `$2y$20$${'a'.repeat(53)}`,
  '$scrypt$ln=25,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E',
  '$scrypt$ln=1,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E',
  '$scrypt$ln=15,r=0,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E',
])('the hash "%s" is refused', (text) => {
  expect(parseHash(text)).toEqual(expect.any(String))
})

test('an htpasswd file: names, comments, and mistakes with their line and without the hash', async () => {
  const file = join(folder, 'htpasswd')
  writeFileSync(file, `# users\nanna:${await htpasswd('a')}\r\n\nben:${PASSLIB}\n`)
  const users = createUserList(await readUsers(file))
  expect([...users.keys()]).toEqual(['anna', 'ben'])
  expect(users.get('anna')?.hash.kind).toBe('bcrypt')
  writeFileSync(file, 'anna:secret-text\nnothing\n')
  await expect(readUsers(file)).rejects.toThrow(/htpasswd:1: no bcrypt.*\n.*htpasswd:2: write name:hash/)
  await expect(readUsers(file)).rejects.not.toThrow(/secret-text/)
  writeFileSync(file, `anna:${PASSLIB}\nanna:${PASSLIB}\n`)
  const twice = await readUsers(file)
  expect(() => createUserList(twice)).toThrow(/htpasswd:2: the same user as .*htpasswd:1/)
  await expect(readUsers(join(folder, 'none'))).rejects.toMatchObject({ code: 'GW_CONFIG_INVALID' })
})

test('a users file in YAML has roles and more', async () => {
  const file = join(folder, 'users.yaml')
  writeFileSync(file, `users:\n  - name: anna\n    hash: "${PASSLIB}"\n    roles: [admin]\n`)
  expect(createUserList(await readUsers(file)).get('anna')).toMatchObject({
    roles: ['admin'],
    disabled: false,
  })
})

test('names and passwords are UTF-8, the first colon parts them', () => {
  expect(basic('anna:a:b:c')).toEqual({ user: 'anna', password: 'a:b:c' })
  expect(basic('Jürgen:Müßig€')).toEqual({ user: 'Jürgen', password: 'Müßig€' })
  expect(basic('Ju\u0308rgen:x')?.user).toBe('J\u00fcrgen')
})

test.each([
  ['no colon', 'anna'],
  ['no name', ':secret'],
  ['no password', 'anna:'],
  ['a NUL in the name', 'anna\0x:secret'],
  ['a NUL in the password', 'anna:secret\0x'],
  ['a line break', 'anna:a\nb'],
  ['no UTF-8', Buffer.from([0x61, 0x3a, 0xfc])],
  ['nothing', ''],
])('%s is no Basic credentials', (_what, text) => {
  expect(basic(text)).toBeUndefined()
})

test('what is no Base64, or endless, is no Basic credentials', () => {
  expect(parseBasic('a b')).toBeUndefined()
  expect(parseBasic('%%%')).toBeUndefined()
  expect(parseBasic('A'.repeat(2052))).toBeUndefined()
})

interface Held {
  readonly password: string
  answer(isRight: boolean): void
}

function heldCheck(own: object = {}) {
  const held: Held[] = []
  let now = 0
  const check = new PasswordCheck({
    concurrency: 1,
    maxWaiting: 1,
    cacheMs: 1000,
    clock: { now: () => now, monotonic: () => now },
    bcrypt: {
      verify: (password) => new Promise((resolve) => held.push({ password, answer: resolve })),
    },
    ...own,
  })
  return { check, held, at: (ms: number) => (now = ms) }
}
const HASH: PasswordHash = { kind: 'bcrypt', text: '$2b$x' }

test('a right password costs its hash once while it is remembered', async () => {
  const { check, held, at } = heldCheck()
  const first = check.verify('anna', 'a', HASH)
  const same = check.verify('anna', 'a', HASH)
  expect(same).toBe(first)
  held[0]?.answer(true)
  expect(await first).toBe(true)
  expect(check.verify('anna', 'a', HASH)).toBe(true)
  expect(check.verify('anna', 'a', { kind: 'bcrypt', text: '$2b$y' })).toBeInstanceOf(Promise)
  at(1000)
  expect(check.verify('anna', 'a', HASH)).toBeInstanceOf(Promise)
  expect(held).toHaveLength(2)
})

test.each([
  ['wrong', false, true],
  ['of an unknown user', true, false],
])('a password that is %s is not remembered', async (_what, isRight, isKnown) => {
  const { check, held } = heldCheck()
  const first = check.verify('anna', 'a', HASH, isKnown)
  held[0]?.answer(isRight)
  await first
  expect(check.verify('anna', 'a', HASH, isKnown)).toBeInstanceOf(Promise)
})

test('what was verified is forgotten when the file changes', async () => {
  const { check, held } = heldCheck()
  const first = check.verify('anna', 'a', HASH)
  held[0]?.answer(true)
  await first
  check.forget()
  expect(check.verify('anna', 'a', HASH)).toBeInstanceOf(Promise)
})

test('so many at a time, so many wait in order, the rest is refused', async () => {
  const { check, held } = heldCheck()
  const one = check.verify('u', '1', HASH)
  const two = check.verify('u', '2', HASH)
  await expect(check.verify('u', '3', HASH)).rejects.toMatchObject({ code: 'GW_AUTH_BUSY' })
  expect(held.map(({ password }) => password)).toEqual(['1'])
  held[0]?.answer(false)
  expect(await one).toBe(false)
  expect(held.map(({ password }) => password)).toEqual(['1', '2'])
  held[1]?.answer(true)
  expect(await two).toBe(true)
  const next = check.verify('u', '4', HASH)
  held[2]?.answer(true)
  expect(await next).toBe(true)
})

test('the decoy of a name is always the same, and there is none among nobody', () => {
  const { check } = heldCheck()
  const among = Array.from({ length: 50 }, (_, i) => i)
  expect(check.decoyFor('x', among)).toBe(check.decoyFor('x', among))
  expect(new Set(Array.from({ length: 50 }, (_, i) => check.decoyFor(`u${i}`, among))).size).toBeGreaterThan(
    10,
  )
  expect(check.decoyFor('x', [])).toBeUndefined()
})

test('bcrypt in its thread: right, wrong, and only what bcrypt really looks at', async () => {
  const check = new PasswordCheck({
    ...{ concurrency: 2, maxWaiting: 9, cacheMs: 0, bcrypt: thread },
    clock: { now: () => 0, monotonic: () => 0 },
  })
  const long = 'x'.repeat(72)
  const [short, full] = [
    parseHash(await htpasswd('geheim')),
    parseHash(await htpasswd(long)),
  ] as PasswordHash[]
  expect(await check.verify('a', 'geheim', short as PasswordHash)).toBe(true)
  expect(await check.verify('a', 'geheiM', short as PasswordHash)).toBe(false)
  expect(await check.verify('a', long, full as PasswordHash)).toBe(true)
  expect(await check.verify('a', `${long}y`, full as PasswordHash)).toBe(false)
})

test('a thread that was ended fails what waits, and the next check starts another', async () => {
  const own = new BcryptThread()
  const hash = (await htpasswd('a')).replace('$2y$', '$2b$')
  const pending = own.verify('a', hash)
  own.close()
  await expect(pending).rejects.toMatchObject({ code: 'GW_AUTH_UNAVAILABLE' })
  expect(await own.verify('a', hash)).toBe(true)
  own.close()
})
