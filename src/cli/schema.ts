import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ExitCode, Terminal } from './terminal.ts'

/** `sluice schema`: the JSON schema of sluice.yaml or of routes.d/*.yaml, to standard output or a file. */
export async function schema(
  options: { routes?: true; out?: string },
  terminal: Terminal,
): Promise<ExitCode> {
  const name = options.routes === true ? 'routes.schema.json' : 'sluice.schema.json'
  const text = await readFile(join(import.meta.dirname, '../../schema', name), 'utf8')
  if (options.out === undefined) terminal.out(text.trimEnd())
  else await writeFile(options.out, text)
  return 0
}
