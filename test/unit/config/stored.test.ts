import { expect, test } from 'vitest'
import { ConfigError, loadConfig, loadStatic } from '../../../src/config/load.ts'
import { filterSchemas } from '../../../src/filters/list.ts'
import { configFolder, problemsOf } from '../../support/config.ts'

const MAIN = `version: 1
registries: { main: { type: consul }, disk: { type: file, path: ./x } }
`
const respond = (name: string, body: string, path = '/') =>
  `routes: [{ name: ${name}, match: { pathPrefix: ${path} }, respond: { status: 200, body: "${body}" } }]`

async function loaded(
  main: string,
  stored: Readonly<Record<string, string>>,
  files: Readonly<Record<string, string>> = {},
  env: NodeJS.ProcessEnv = {},
) {
  const { folder, remove } = configFolder({ 'sluice.yaml': MAIN + main, ...files })
  try {
    const options = { path: folder, env, filterSchemas: filterSchemas() }
    return await loadConfig({ ...options, stored: new Map(Object.entries(stored)) })
  } catch (thrown) {
    if (thrown instanceof ConfigError) return thrown.message.replaceAll(`${folder}/`, '')
    throw thrown
  } finally {
    remove()
  }
}

test('files of a store come together with those on disk, and are not watched as files', async () => {
  const config = await loaded(
    '',
    { 'routes.d/shop.yaml': respond('shop', 'x') },
    { 'routes.d/a.yaml': respond('a', 'y', '/a') },
  )
  if (typeof config === 'string') expect.fail(config)
  expect(config.dynamic.routes.map(({ name, source }) => [name, source.replace(/^.*routes.d/, '')])).toEqual([
    ['a', '/a.yaml:1:10'],
    ['shop', '/shop.yaml:1:10'],
  ])
  expect(config.dynamic.routes[1]?.source).toBe('kv:routes.d/shop.yaml:1:10')
  expect(config.files.some((file) => file.includes('kv:'))).toBe(false)
})

test('the same name in both names both places', async () => {
  const text = await loaded(
    '',
    { 'routes.d/shop.yaml': respond('shop', 'x') },
    { 'routes.d/own.yaml': respond('shop', 'y') },
  )
  expect(text).toMatch(
    /^kv:routes\.d\/shop\.yaml:1:12 .*route "shop" exists already at routes\.d\/own\.yaml:1:12/,
  )
})

test('only listed variables may be named in a store, and no file', async () => {
  const stored = {
    'routes.d/shop.yaml': respond('shop', '${ENV:SHOP_TEXT}${ENV:ADMIN_TOKEN:-none}${FILE:/etc/passwd}'),
  }
  const env = { SHOP_TEXT: 'hello', ADMIN_TOKEN: 'secret' }
  const text = await loaded('configuration: { store: main, environment: [SHOP_*] }', stored, {}, env)
  expect(text).toContain('environment variable ADMIN_TOKEN may not be named in the store')
  expect(text).toContain('files of a gateway may not be named in the store')
  expect(text).not.toContain('SHOP_TEXT')
  expect(text).not.toContain('secret')
  const fine = await loaded(
    'configuration: { store: main, environment: [SHOP_*] }',
    { 'routes.d/shop.yaml': respond('shop', '${ENV:SHOP_TEXT}') },
    {},
    env,
  )
  expect(JSON.stringify(fine)).toContain('hello')
})

test('the store has to be one that can keep something', async () => {
  const [problem] = await problemsOf({ 'sluice.yaml': `${MAIN}configuration: { store: disk }` })
  expect(problem).toMatchObject({ path: 'configuration.store', fix: 'write one of main' })
})

test('the cache is beside the snapshot unless the file says otherwise', async () => {
  const cacheOf = async (main: string) => {
    const { folder, remove } = configFolder({ 'sluice.yaml': MAIN + main })
    const config = await loadStatic({ path: folder })
    remove()
    return config?.configuration?.cache?.replace(folder, '.')
  }
  const snapshot = 'snapshot: { path: state/snapshot.json }\n'
  expect(await cacheOf(`${snapshot}configuration: { store: main }`)).toBe('./state/configuration.json')
  expect(await cacheOf(`${snapshot}configuration: { store: main, cache: none }`)).toBeUndefined()
  expect(await cacheOf('configuration: { store: main, cache: here.json }')).toBe('./here.json')
  expect(await cacheOf('configuration: { store: main }')).toBeUndefined()
})
