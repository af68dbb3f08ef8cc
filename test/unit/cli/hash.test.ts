import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { compare } from 'bcryptjs'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { runProgram } from '../../../src/cli/program.ts'
import { keyDigest, keyEntrySchema } from '../../../src/identity/key-ring.ts'
import { parseHash, type ScryptHash, verifyScrypt } from '../../../src/identity/password-hash.ts'

async function hash(args: readonly string[], secret?: string) {
  const [out, err]: [string[], string[]] = [[], []]
  const code = await runProgram(['node', 'sluice', 'hash', ...args], {
    env: {},
    hasColor: false,
    out: (text) => void out.push(text),
    err: (text) => void err.push(text),
    ...(secret === undefined ? {} : { secret: async () => secret }),
  })
  return { code, out: out.join('\n'), err: err.join('\n') }
}

const KEY = 'a-random-key-of-many-chars'

test('an entry for a key that is given; the key itself is not shown', async () => {
  const { code, out } = await hash(['--id', 'k1', '--owner', 'shop'], KEY)
  expect([code, parse(out)]).toEqual([0, [{ id: 'k1', sha256: keyDigest(KEY), owner: 'shop' }]])
  expect(out).not.toContain(KEY)
})

test('a key that is made is shown once, with an entry that the filter takes', async () => {
  const { out } = await hash(['--generate', '--json'])
  const { secret, entry } = JSON.parse(out) as { secret: string; entry: { sha256: string } }
  expect(secret).toMatch(/^sk_[\w-]{43}$/)
  expect(keyEntrySchema.parse(entry).sha256).toBe(keyDigest(secret))
  expect((await hash(['--generate'])).out).toMatch(
    /^# for its owner, shown once: sk_[\w-]{43}\n- \{ id: "key-/,
  )
})

test('a line for a password', async () => {
  const scrypt = await hash(['--type', 'scrypt', '--owner', 'anna'], 'geheim')
  expect(scrypt.out).toMatch(/^anna:\$scrypt\$ln=15/)
  expect(await verifyScrypt('geheim', parseHash(scrypt.out.slice(5)) as ScryptHash)).toBe(true)
  const bcrypt = await hash(['--type', 'bcrypt', '--json'], 'geheim')
  const { entry } = JSON.parse(bcrypt.out) as { entry: { hash: string } }
  expect(await compare('geheim', entry.hash)).toBe(true)
  expect(parseHash(entry.hash)).toMatchObject({ kind: 'bcrypt' })
})

test.each<[string, string[], string | undefined]>([
  ['no secret', [], undefined],
  ['an empty one', [], ''],
  ['a password taken for a key', [], 'correct horse'],
  ['a control character', ['--type', 'scrypt'], 'a\0b'],
  ['more than bcrypt sees', ['--type', 'bcrypt'], 'x'.repeat(73)],
  ['a colon in the name', ['--type', 'scrypt', '--owner', 'a:b'], 'x'],
  ['an unknown type', ['--type', 'md5'], 'x'],
])('%s is misuse, and the secret is not repeated', async (_what, args, secret) => {
  const { code, out, err } = await hash(args, secret)
  expect([code, out]).toEqual([2, ''])
  if (secret !== undefined && secret.length > 3) expect(err).not.toContain(secret)
})

test('the secret may be piped in', () => {
  const { stdout, status } = spawnSync(join(import.meta.dirname, '../../../bin/sluice'), ['hash', '--json'], {
    input: `${KEY}\n`,
    encoding: 'utf8',
  })
  expect(status).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ entry: { sha256: keyDigest(KEY) } })
})
