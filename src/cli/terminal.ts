import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { GatewayError } from '../core/errors.ts'

/** What a verb gets besides its own options. */
export interface Terminal {
  readonly env: NodeJS.ProcessEnv
  readonly hasColor: boolean
  out(text: string): void
  err(text: string): void
  /** What is piped in, or what somebody types, unseen, after the prompt. Without a line break at the end. */
  secret?(prompt: string): Promise<string>
  /** The screen that a person looks at; absent when there is none that can be drawn on. */
  readonly screen?: Screen
  /** Replaces the last line of a screen that a person looks at; absent when there is none. */
  status?(line: string): void
}

/** A screen that can be drawn on with escape sequences. */
export interface Screen {
  columns(): number
  rows(): number
  write(text: string): void
  /** Tells when its size changed; the result ends it. */
  onResize(listener: () => void): () => void
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
    secret: (prompt) => readSecret(prompt),
    ...(process.stdout.isTTY === true && process.env['TERM'] !== 'dumb' ? { screen: processScreen() } : {}),
    ...(process.stderr.isTTY === true
      ? {
          status: (line: string) =>
            process.stderr.write(`\r\x1b[K${line.slice(0, (process.stderr.columns ?? 80) - 1)}`),
        }
      : {}),
  }
}

function processScreen(): Screen {
  const { stdout } = process
  return {
    columns: () => stdout.columns,
    rows: () => stdout.rows,
    write: (text) => void stdout.write(text),
    onResize(listener) {
      stdout.on('resize', listener)
      return () => void stdout.off('resize', listener)
    },
  }
}

/**
 * Ctrl-C, SIGTERM and a reader that left (`sluice events | head`) abort the signal instead of ending the process.
 * `forget` undoes that.
 */
export function untilInterrupted(): { readonly signal: AbortSignal; forget(): void } {
  const abort = new AbortController()
  const stop = () => abort.abort()
  process.once('SIGINT', stop).once('SIGTERM', stop)
  process.stdout.on('error', stop)
  return {
    signal: abort.signal,
    forget: () => void process.off('SIGINT', stop).off('SIGTERM', stop),
  }
}

async function readSecret(prompt: string): Promise<string> {
  const { stdin, stderr } = process
  if (!stdin.isTTY) return (await text(stdin)).replace(/\r?\n$/, '')
  stderr.write(prompt)
  // Nobody who looks over the shoulder shall see it.
  const output = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: stdin, output, terminal: true })
  try {
    return await new Promise((resolve, reject) => {
      lines.once('line', resolve)
      lines.once('SIGINT', () => reject(new GatewayError('GW_CLI_MISUSE', 'given up')))
      lines.once('close', () => reject(new GatewayError('GW_CLI_MISUSE', 'nothing was typed')))
    })
  } finally {
    lines.close()
    stderr.write('\n')
  }
}

/** The version in package.json. */
export function packageVersion(): string {
  const file = join(import.meta.dirname, '../../package.json')
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}
