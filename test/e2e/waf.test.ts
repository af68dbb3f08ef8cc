import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { startGateway } from '../support/gateway.ts'
import { requireCoreRules } from '../support/waf.ts'
import { waitFor } from '../support/wait.ts'

const ROOT = join(import.meta.dirname, '../..')
const { later } = useCleanups()
beforeAll(requireCoreRules)

async function sluice(...args: string[]): Promise<{ code: number; output: string }> {
  const child = spawn(join(ROOT, 'bin/sluice'), args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: tmpdir() })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      output += String(chunk)
    })
  const [code] = (await once(child, 'close')) as [number]
  return { code, output }
}

/** A folder with a sluice.yaml of one route and a `waf` filter. */
function configFolder(filter: string, top = '', files: Readonly<Record<string, string>> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-waf-'))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  writeFileSync(
    join(folder, 'sluice.yaml'),
    `version: 1\n${top}\nroutes:\n  - name: all\n    match: { pathPrefix: / }\n    filters: [{ type: waf${filter} }]\n    respond: { body: fine }\n`,
  )
  return folder
}

describe('sluice check', () => {
  test('loads the rules, and ends', async () => {
    const folder = configFolder(', ruleFiles: [own.conf]', '', {
      'own.conf': 'SecRule ARGS:a "@streq b" "id:1,phase:2,deny,status:403"\n',
    })
    expect(await sluice('check', '-c', folder)).toMatchObject({ code: 0 })
  })

  test('a broken rule file: file, line and column, exit 1', async () => {
    const folder = configFolder(', ruleFiles: [own.conf]', '', {
      'own.conf': '# mine\nSecRule ARGS:a "@streq b" "id:1,phase:2,nonsense"\n',
    })
    const { code, output } = await sluice('check', '-c', folder)
    expect(code).toBe(1)
    expect(output).toMatch(new RegExp(`${folder}/own\\.conf:2:\\d+: Expecting an action`))
  })

  test('a missing library or rule set: the packages, exit 1', async () => {
    for (const top of ['waf: { library: /nowhere/lib.so }', 'waf: { crs: nowhere }']) {
      const { code, output } = await sluice('check', '-c', configFolder('', top))
      expect(code).toBe(1)
      expect(output).toContain('install the Debian packages libmodsecurity3 and modsecurity-crs')
    }
  })

  test('without a waf filter nothing is looked for', async () => {
    const folder = configFolder('', 'waf: { library: /nowhere/lib.so, crs: nowhere }')
    const file = join(folder, 'sluice.yaml')
    writeFileSync(file, readFileSync(file, 'utf8').replace('{ type: waf }', ''))
    expect(await sluice('check', '-c', folder)).toMatchObject({ code: 0 })
  })
})

test('the example does what its README says', async () => {
  const example = join(ROOT, 'examples/waf')
  const [, body = ''] = /\n(filters:[\s\S]*)$/.exec(readFileSync(join(example, 'sluice.yaml'), 'utf8')) ?? []
  const gateway = await startGateway({
    yaml: `waf: { workers: 1 }\n${body}`,
    prepare: (folder) => cpSync(join(example, 'own-rules.conf'), join(folder, 'own-rules.conf')),
  })
  later(() => gateway.stop())
  const get = (path: string, init: RequestInit = {}) => fetch(gateway.publicUrl + path, init)
  const article = (path: string) =>
    get(path, {
      method: 'POST',
      body: '{"article":"select name from users where 1=1"}',
      headers: { 'content-type': 'application/json' },
    })
  expect(await (await get('/?q=shoes')).text()).toBe('hello from the shop\n')
  const refused = await get('/?q=1%27%20or%20%271%27=%271')
  expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([403, 'GW_WAF_BLOCKED'])
  expect((await get('/', { headers: { 'x-tenant': 'blocked' } })).status).toBe(403)
  expect((await article('/articles')).status).toBe(200)
  expect((await article('/')).status).toBe(403)

  const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
  expect(metrics).toMatch(/sluice_waf_decisions_total\{filter="shield",decision="block"\} 3/)
  expect(metrics).toMatch(/sluice_waf_hits_total\{filter="shield",category="sqli"\} [1-9]/)
  // The log is written in batches.
  await waitFor(() => gateway.output().includes('"msg":"waf: refused"'))

  const file = join(gateway.folder, 'own-rules.conf')
  writeFileSync(file, readFileSync(file, 'utf8').replace('blocked"', 'other"'))
  await waitFor(async () => (await get('/', { headers: { 'x-tenant': 'other' } })).status === 403)
  writeFileSync(file, 'SecNonsense On\n')
  await waitFor(() => gateway.output().includes(`${file}:1:`))
  expect((await get('/', { headers: { 'x-tenant': 'other' } })).status).toBe(403)
})
