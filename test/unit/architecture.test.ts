import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-lint-'))
  copyFileSync(join(root, 'biome.json'), join(folder, 'biome.json'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function lint(files: Record<string, string>): { status: number | null; output: string } {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  const biome = join(root, 'node_modules/.bin/biome')
  const { status, stdout, stderr } = spawnSync(biome, ['lint', '--vcs-enabled=false', '.'], {
    cwd: folder,
    encoding: 'utf8',
  })
  return { status, output: stdout + stderr }
}

test('lint passes for a clean file, so that the failures below mean something', () => {
  const { status, output } = lint({ 'src/core/good.ts': 'export const good = 1\n' })
  expect(output).not.toContain('lint/')
  expect(status).toBe(0)
})

test.each([
  ['src/core/bad.ts', '../routing/x.ts'],
  ['src/config/bad.ts', '../filters/x.ts'],
  ['src/registry/bad.ts', '../config/x.ts'],
  ['src/register/bad.ts', '../registry/x.ts'],
  ['src/etcd/bad.ts', '../registry/x.ts'],
  ['src/zookeeper/bad.ts', '../registry/x.ts'],
  ['src/config-store/bad.ts', '../config/x.ts'],
  ['src/routing/bad.ts', '../proxy/x.ts'],
  ['src/filters/bad.ts', '../proxy/x.ts'],
  ['src/identity/bad.ts', '../filters/x.ts'],
  ['src/proxy/bad.ts', '../filters/x.ts'],
  ['src/health/bad.ts', '../registry/x.ts'],
  ['src/mirror/bad.ts', '../routing/x.ts'],
  ['src/notify/bad.ts', '../health/x.ts'],
  ['src/preview/bad.ts', '../filters/x.ts'],
  ['src/rollcheck/bad.ts', '../routing/x.ts'],
  ['routes/bad.ts', '../src/proxy/x.ts'],
])('lint refuses that %s imports %s', (file, imported) => {
  const target = join(dirname(file), imported)
  const { status, output } = lint({
    [file]: `import { x } from '${imported}'\n\nexport const y = x\n`,
    [target]: 'export const x = 1\n',
  })
  expect(output).toContain('noRestrictedImports')
  expect(status).not.toBe(0)
})

test('lint refuses an import cycle that exists in types alone', () => {
  const { status, output } = lint({
    'src/core/a.ts': "import type { B } from './b.ts'\n\nexport interface A {\n  b: B\n}\n",
    'src/core/b.ts': "import type { A } from './a.ts'\n\nexport interface B {\n  a: A\n}\n",
  })
  expect(output).toContain('noImportCycles')
  expect(status).not.toBe(0)
})
