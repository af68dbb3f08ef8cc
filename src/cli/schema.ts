import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ExitCode, Terminal } from './terminal.ts'

/** `sluice schema`: the JSON schema of sluice.yaml, of routes.d/*.yaml or of canary.d/*.yaml, to standard output or a file. */
export async function schema(
  options: { routes?: true; canary?: true; out?: string },
  terminal: Terminal,
): Promise<ExitCode> {
  const kind = options.canary === true ? 'canary' : options.routes === true ? 'routes' : 'sluice'
  const name = `${kind}.schema.json`
  const text = await readFile(join(import.meta.dirname, '../../schema', name), 'utf8')
  if (options.out === undefined) terminal.out(text.trimEnd())
  else await writeFile(options.out, text)
  return 0
}
