import { OVERRIDES } from '../../src/config/resolve.ts'
import type { JsonSchema } from './schema.ts'

const cellText = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

/** What stands in the column "value". */
function valueText(schema: JsonSchema): string {
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``
  if (schema.enum !== undefined) return schema.enum.map((one) => `\`${String(one)}\``).join(' ')
  const list = schema.anyOf ?? schema.oneOf
  if (list !== undefined) {
    // Durations and sizes: a text, or a plain 0.
    if (list.length === 2 && list[1]?.const === 0) return 'text with unit, or `0`'
    return [...new Set(list.map(valueText))].join(' or ')
  }
  if (schema.type === 'array')
    return `list of ${schema.items === undefined ? 'anything' : valueText(schema.items)}`
  if (schema.type === 'object') return schema.properties === undefined ? 'map' : 'keys below'
  return typeof schema.type === 'string' ? schema.type : 'anything'
}

/** Keys and descriptions of everything below a schema, depth first. */
function rows(schema: JsonSchema, path: string, isFilterList = false): string[] {
  const lines: string[] = []
  const visit = (child: JsonSchema, key: string, isRequired: boolean) => {
    const required = isRequired ? ' **required**' : ''
    const description = child.description ?? ''
    lines.push(`| \`${key}\` | ${cellText(valueText(child))} | ${cellText(description)}${required} |`)
    lines.push(...rows(child, key, key.endsWith('filters')))
  }
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    const key = path === '' ? name : `${path}.${name}`
    visit(child, key, (schema.required ?? []).includes(name) && child.default === undefined)
  }
  if (schema.type === 'array' && schema.items !== undefined && !isFilterList) {
    lines.push(...rows(schema.items, `${path}[]`))
  }
  for (const alternative of schema.anyOf ?? schema.oneOf ?? []) {
    if (alternative.properties === undefined) continue
    const tag = alternative.properties['type']?.const
    const mark = tag === undefined ? path : `${path} (${String(tag)})`
    lines.push(...rows(alternative, mark))
  }
  if (typeof schema.additionalProperties === 'object' && !path.endsWith('filters')) {
    lines.push(...rows(schema.additionalProperties, `${path}.NAME`))
  }
  return lines
}

const HEAD = '| key | value | meaning |\n|---|---|---|'

function section(name: string, schema: JsonSchema): string {
  const description = schema.description === undefined ? '' : `${schema.description}\n\n`
  const own = rows(schema, name, name === 'filters')
  const table = own.length === 0 ? `Value: ${valueText(schema)}.` : `${HEAD}\n${own.join('\n')}`
  return `### ${name}\n\n${description}${table}\n`
}

/** The reference page of the configuration. */
export function configPage(
  main: JsonSchema,
  filters: readonly { readonly name: string; readonly summary: string; readonly options: JsonSchema }[],
  dynamicKeys: ReadonlySet<string>,
): string {
  const all = Object.entries(main.properties ?? {})
  const part = (isDynamic: boolean) =>
    all
      .filter(([name]) => dynamicKeys.has(name) === isDynamic)
      .map(([name, schema]) => section(name, schema))
      .join('\n')
  const filterParts = filters.map(({ name, summary, options }) => {
    const own = rows(options, '')
    const table = own.length === 0 ? 'No options.' : `${HEAD}\n${own.join('\n')}`
    return `### ${name}\n\n${summary}\n\n${table}\n`
  })
  const overrides = Object.entries(OVERRIDES).map(
    ([variable, path]) => `| \`${variable}\` | \`${path.join('.')}\` |`,
  )
  return `# Configuration

<!-- Generated from src/config/schema.ts and the filters by \`npm run gen\`: edit there. -->

\`sluice.yaml\` has a static part, read at start, and a dynamic one, taken over within a blink when a file is saved.
\`routes.d/*.yaml\` beside it may hold \`routes\`, \`services\` and \`filters\`, too, and \`canary.d/*.yaml\` \`canaries\` and
\`lanes\`. Unknown keys are refused.
\`sluice check\` names every mistake with file, line, column and the fix; \`sluice schema\` prints the JSON schema for
editors.

Durations are written with their unit (\`250ms\`, \`15s\`, \`10m\`, \`1h\`, \`7d\`), sizes too (\`512B\`, \`64KiB\`, \`10MB\`); a plain
\`0\` is 0. Any text may hold \`\${ENV:NAME}\` or \`\${FILE:path}\`: the value of an environment variable, or of a file without
the newline at its end. Paths are relative to the folder of the file that names them.

These environment variables go before the file and are checked together with it:

| variable | key |
|---|---|
${overrides.join('\n')}
| \`CONSUL_HTTP_ADDR\`, \`CONSUL_HTTP_SSL\`, \`CONSUL_HTTP_TOKEN\`, \`CONSUL_HTTP_TOKEN_FILE\` | what a registry of type consul leaves out |

## Dynamic part

${part(true)}
## Static part

${part(false)}
## Filters

Each may also have \`onError: closed\` (refuse when the filter itself fails; the default) or \`onError: open\`, and
\`mode: dryRun\` (count and log what it would have refused, do nothing; default \`enforce\`).

${filterParts.join('\n')}`
}
