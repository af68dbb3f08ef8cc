import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { parse } from 'yaml'
import { errorText } from '../core/errors.ts'
import type { RouteSpec } from '../core/route.ts'
import { fieldsOfSchema } from './contract-schema.ts'
import type { ConfigDocument } from './document.ts'
import type { ConfigProblem } from './problems.ts'
import type { RoutesFile } from './schema.ts'

interface Part {
  readonly document: ConfigDocument
  readonly value: RoutesFile
}

/** A document with schemas as it was read. */
export interface SchemaFile {
  /** Absolute. */
  readonly file: string
  readonly text: string
}

/** Reads the schemas that contracts of routes name; each file once. What cannot be used is a problem. */
export async function readContracts(
  routes: readonly RouteSpec[],
  parts: readonly Part[],
  problems: ConfigProblem[],
): Promise<{ readonly routes: RouteSpec[]; readonly schemas: readonly SchemaFile[] }> {
  const named = new Map<string, { readonly part: Part; readonly index: number }>()
  for (const part of parts) {
    part.value.routes.forEach((input, index) => {
      if (input.contract?.schema !== undefined) named.set(input.name, { part, index })
    })
  }
  if (named.size === 0) return { routes: [...routes], schemas: [] }
  const files = new Map<string, SchemaFile & { readonly document: unknown }>()
  const out: RouteSpec[] = []
  for (const route of routes) {
    const place = named.get(route.name)
    const schema = place?.part.value.routes[place.index]?.contract?.schema
    if (place === undefined || schema === undefined || route.contract === undefined) {
      out.push(route)
      continue
    }
    const { document } = place.part
    const path = ['routes', place.index, 'contract', 'schema']
    const file = resolve(document.folder, schema.file)
    try {
      const text = files.get(file)?.text ?? (await readFile(file, 'utf8'))
      // YAML is a superset of JSON.
      if (!files.has(file)) files.set(file, { file, text, document: parse(text) })
    } catch (thrown) {
      const message = `${file} cannot be read: ${errorText(thrown)}`
      problems.push(document.problem([...path, 'file'], message, 'create it, or mend the path'))
      out.push(route)
      continue
    }
    const fields = fieldsOfSchema(files.get(file)?.document, schema.at, route.contract)
    if (fields.length === 0) {
      const message = `there is no schema with a type at "${schema.at}" in ${file}`
      problems.push(
        document.problem([...path, 'at'], message, 'write a JSON pointer: #/components/schemas/Item'),
      )
    }
    out.push({ ...route, contract: { ...route.contract, fields } })
  }
  return { routes: out, schemas: [...files.values()].map(({ file, text }) => ({ file, text })) }
}
