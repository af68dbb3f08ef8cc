import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ConfigError } from '../../src/config/load.ts'
import { ConfigLoader } from '../../src/config-loader.ts'
import { useCleanups } from '../support/cleanup.ts'
import { configFolder } from '../support/config.ts'

const { later } = useCleanups()

function loaderFor(files: Record<string, string>) {
  const { folder, remove } = configFolder(files)
  const warnings: string[] = []
  const loader = new ConfigLoader({
    path: folder,
    env: { LEVEL: 'warn' },
    log: { warn: (_fields, text) => void warnings.push(text) },
  })
  later(async () => {
    await loader.close()
    remove()
  })
  return { folder, loader, warnings }
}

const many = (count: number) =>
  `routes:\n${Array.from({ length: count }, (_, i) => `  - { name: r-${i}, match: { path: /p-${i} }, respond: { status: 200 } }\n`).join('')}`

/** Processes that this one has started and that read configurations. */
function readers(): number[] {
  const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8')
  return children
    .trim()
    .split(' ')
    .filter((pid) => pid !== '' && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('config-reader'))
    .map(Number)
}

test('what did not change is the same object after a load, also over processes and portions', async () => {
  const { folder, loader } = loaderFor({
    'sluice.yaml': 'log: { level: "${ENV:LEVEL}" }',
    'routes.d/a.yaml': many(450),
  })
  const first = await loader.loadFirst()
  expect(first.static.log.level).toBe('warn')
  const text = many(450).replace('/p-7 }', '/moved }')
  writeFileSync(join(folder, 'routes.d/a.yaml'), text)
  const second = await loader.load()
  expect(second.dynamic.routes).toHaveLength(450)
  const changed = second.dynamic.routes.filter((spec, i) => spec !== first.dynamic.routes[i])
  expect(changed.map(({ match }) => match.path.value)).toEqual(['/moved'])
  expect(second.static).toEqual(first.static)
  const third = await loader.load()
  expect(third.dynamic.routes.every((spec, i) => spec === second.dynamic.routes[i])).toBe(true)
})

test('mistakes come over with their places', async () => {
  const { loader } = loaderFor({ 'sluice.yaml': 'limts: {}' })
  const failure = await loader.load().catch((thrown: unknown) => thrown)
  expect(failure).toBeInstanceOf(ConfigError)
  expect((failure as ConfigError).problems[0]).toMatchObject({ line: 2, column: 1, path: 'limts' })
})

test('a file that went is told as unreadable', async () => {
  const { folder, loader } = loaderFor({})
  rmSync(join(folder, 'sluice.yaml'))
  await expect(loader.load()).rejects.toMatchObject({ code: 'GW_CONFIG_UNREADABLE' })
})

test('when the reading process dies the configuration is read here, and the next time by a new one', async () => {
  const { loader, warnings } = loaderFor({ 'routes.d/a.yaml': many(3000) })
  await loader.load()
  const [before] = readers()
  const loading = loader.load()
  process.kill(before as number, 'SIGKILL')
  expect((await loading).dynamic.routes).toHaveLength(3000)
  expect(warnings.join()).toContain('the configuration is read here')
  expect((await loader.load()).dynamic.routes).toHaveLength(3000)
  const [after] = readers()
  expect(after).not.toBe(before)
  await loader.close()
  expect(readers()).toEqual([])
})
