import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What a verb gets besides its own options. */
export interface Terminal {
  readonly env: NodeJS.ProcessEnv
  readonly hasColor: boolean
  out(text: string): void
  err(text: string): void
  /** Replaces the last line of a screen that a person looks at; absent when there is none. */
  status?(line: string): void
}

/** 0 good, 1 a finding, 2 misuse or unreachable. */
export type ExitCode = 0 | 1 | 2

/** Standard output and error; colour when a person looks on and `NO_COLOR` is not set. */
export function processTerminal(): Terminal {
  return {
    env: process.env,
    hasColor: process.stdout.isTTY === true && process.env['NO_COLOR'] === undefined,
    out: (text) => process.stdout.write(`${text}\n`),
    err: (text) => process.stderr.write(`${text}\n`),
    ...(process.stderr.isTTY === true
      ? {
          status: (line: string) =>
            process.stderr.write(`\r\x1b[K${line.slice(0, (process.stderr.columns ?? 80) - 1)}`),
        }
      : {}),
  }
}

/** The version in package.json. */
export function packageVersion(): string {
  const file = join(import.meta.dirname, '../../package.json')
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}
