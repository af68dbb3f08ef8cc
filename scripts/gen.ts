import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { canaryFile, canaryShape } from '../src/config/canaries.ts'
import { mainFile, routesFile } from '../src/config/schema.ts'
import { FILTERS } from '../src/filters/list.ts'
import { PLAN_SCHEMA } from '../src/rollcheck/plan.ts'
import { configPage } from './gen/config-docs.ts'
import { openapiDocument } from './gen/openapi.ts'
import { inputSchema, type JsonSchema } from './gen/schema.ts'

/**
 * `npm run gen`: writes what follows from the code: schema/*.json and docs/config.md. With `--check` it writes
 * nothing and exits 1 when one of them is not what the code says.
 */
const root = join(import.meta.dirname, '..')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }

const main = inputSchema(mainFile, 'Sluice configuration')
const routes = inputSchema(routesFile, 'Sluice routes')
const filters = FILTERS.map(({ name, summary, options }) => ({
  name,
  summary,
  options: z.toJSONSchema(options, { io: 'input', target: 'draft-7', unrepresentable: 'any' }) as JsonSchema,
}))
const dynamicKeys = new Set([
  ...Object.keys(routesFile.shape),
  ...Object.keys(canaryShape),
  'defaults',
  'hostFallback',
  'mergeSlashes',
])

const json = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`
const files: Readonly<Record<string, string>> = {
  'schema/sluice.schema.json': json(main),
  'schema/routes.schema.json': json(routes),
  'schema/canary.schema.json': json(inputSchema(canaryFile, 'Sluice canary rules')),
  'schema/rollcheck.schema.json': json(inputSchema(PLAN_SCHEMA, 'Sluice rollcheck plan')),
  'schema/openapi.json': json(await openapiDocument(version)),
  'docs/config.md': configPage(main, filters, dynamicKeys),
}

const isCheck = process.argv.includes('--check')
let stale = 0
for (const [name, text] of Object.entries(files)) {
  const path = join(root, name)
  let before: string | undefined
  try {
    before = readFileSync(path, 'utf8')
  } catch {
    before = undefined
  }
  if (before === text) continue
  stale++
  if (isCheck) {
    console.error(
      `${name} is ${before === undefined ? 'missing' : 'not what the code says'}: run npm run gen`,
    )
  } else {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
    console.log(`${name} written`)
  }
}
if (isCheck && stale > 0) process.exitCode = 1
