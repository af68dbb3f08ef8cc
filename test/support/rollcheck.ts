import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Report } from '../../src/rollcheck/report.ts'

const ROOT = join(import.meta.dirname, '../..')

export interface RollcheckRun {
  readonly code: number | null
  readonly output: string
  readonly errors: string
}

/** Runs `sluice rollcheck` to its end. `onStart` gets the pid. */
export async function rollcheck(
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; timeoutMs?: number; onStart?: (pid: number) => void } = {},
): Promise<RollcheckRun> {
  const child = spawn(join(ROOT, 'bin/sluice'), ['rollcheck', ...args], {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  options.onStart?.(child.pid as number)
  let output = ''
  let errors = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString()
  })
  // SIGTERM ends the roll, its instances and then rollcheck itself.
  const timer = setTimeout(() => child.kill('SIGTERM'), options.timeoutMs ?? 50_000)
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(timer)
  return { code, output, errors }
}

/** The report of a run with `--json`. */
export function reportOf({ output, errors }: RollcheckRun): Report {
  try {
    return JSON.parse(output) as Report
  } catch {
    throw new SyntaxError(`no report: ${output}\n${errors}`)
  }
}
