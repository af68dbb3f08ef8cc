import { spawn, spawnSync } from 'node:child_process'
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { freePort } from '../support/ports.ts'
import { waitFor } from '../support/wait.ts'

const ROOT = join(import.meta.dirname, '../..')
const { later } = useCleanups()

/** A process that ends with the test. */
function started(command: string, args: readonly string[], env: NodeJS.ProcessEnv) {
  const child = spawn(command, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  later(() => child.kill('SIGKILL'))
  return () => output
}

test('examples/api-keys: a stranger may look, a key may order, and a new key counts at once', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-example-'))
  later(() => rmSync(folder, { recursive: true, force: true }))
  cpSync(join(ROOT, 'examples/api-keys'), folder, { recursive: true })
  const [port, adminPort, servicePort] = [await freePort(), await freePort(), await freePort()]
  const config = join(folder, 'sluice.yaml')
  writeFileSync(config, readFileSync(config, 'utf8').replace(':3000', `:${servicePort}`))
  started(process.execPath, [join(folder, 'service.ts')], { PORT: String(servicePort) })
  const sluice = join(ROOT, 'bin/sluice')
  const output = started(sluice, ['run', '-c', folder, '--json'], {
    SLUICE_LISTEN_HTTP: `127.0.0.1:${port}`,
    SLUICE_ADMIN_ADDRESS: `127.0.0.1:${adminPort}`,
  })
  const url = `http://127.0.0.1:${port}/`
  const order = (key?: string) =>
    fetch(url, { method: 'POST', ...(key === undefined ? {} : { headers: { 'x-api-key': key } }) })
  const look = await waitFor(async () => {
    const answer = await fetch(url)
    return answer.status === 200 ? answer : undefined
  })
  expect(await look.json()).toEqual({ consumer: 'a stranger', plan: 'none', sawKey: false })
  expect((await order()).status).toBe(401)
  const [, key = ''] = /'x-api-key: (\S+)'/.exec(readFileSync(join(folder, 'README.md'), 'utf8')) ?? []
  expect(await (await order(key)).json()).toEqual({ consumer: 'anna', plan: 'gold', sawKey: false })

  const made = spawnSync(sluice, ['hash', '--generate', '--owner', 'ben', '--json'], { encoding: 'utf8' })
  const { secret, entry } = JSON.parse(made.stdout) as { secret: string; entry: object }
  expect((await order(secret)).status).toBe(401)
  const file = join(folder, 'keys.yaml')
  appendFileSync(file, `  - ${JSON.stringify({ ...entry, roles: ['buyer'] })}\n`)
  await waitFor(async () => (await order(secret)).status === 200, { what: 'the new key' })

  writeFileSync(file, readFileSync(file, 'utf8').replace('owner: anna', 'ower: anna'))
  await waitFor(() => output().includes('the last good ones stay in force'))
  expect(output()).toMatch(/keys\.yaml:\d+: /)
  expect((await order(key)).status).toBe(200)
  expect(output()).not.toContain(secret)
})
