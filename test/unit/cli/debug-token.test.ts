import { expect, test } from 'vitest'
import { runProgram } from '../../../src/cli/program.ts'
import { checkDebugToken } from '../../../src/core/debug-token.ts'
import { configFolder } from '../../support/config.ts'

const KEY = 'a-key-of-thirty-two-bytes-or-more'

async function debugToken(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const [out, err]: [string[], string[]] = [[], []]
  const code = await runProgram(['node', 'sluice', 'debug-token', ...args], {
    env,
    hasColor: false,
    out: (text) => void out.push(text),
    err: (text) => void err.push(text),
  })
  return { code, out: out.join('\n'), err: err.join('\n') }
}

test('prints the header, with the key of the configuration or of the environment', async () => {
  const { folder, remove } = configFolder({ 'sluice.yaml': `admin: { debugKey: ${KEY} }` })
  const [byFile, byEnv] = [
    await debugToken(['-c', folder, '--ttl', '1m']),
    await debugToken(['--json'], { SLUICE_ADMIN_DEBUG_KEY: KEY }),
  ]
  remove()
  const [header, value = ''] = byFile.out.split(': ')
  expect([byFile.code, header]).toEqual([0, 'x-sluice-debug'])
  expect(checkDebugToken(KEY, value, Date.now())).toBe('valid')
  expect(checkDebugToken(KEY, value, Date.now() + 62_000)).toBe('expired')
  const json = JSON.parse(byEnv.out) as { value: string; expiresAt: number }
  expect(checkDebugToken(KEY, json.value, Date.now())).toBe('valid')
  expect(json.expiresAt).toBeGreaterThan(Date.now() + 290_000)
})

test('no key, a short one, and a time that is none are misuse', async () => {
  const { folder, remove } = configFolder({})
  expect((await debugToken(['-c', folder])).code).toBe(2)
  const short = { SLUICE_ADMIN_DEBUG_KEY: 'short' }
  expect((await debugToken(['-c', folder], short)).err).toContain('shorter than 32 bytes')
  for (const ttl of ['0', '25h', 'soon', '-5m']) {
    const { code, err } = await debugToken(['-c', folder, `--ttl=${ttl}`], { SLUICE_ADMIN_DEBUG_KEY: KEY })
    expect([ttl, code, err.includes('write 1s to 24h')]).toEqual([ttl, 2, true])
  }
  remove()
})
