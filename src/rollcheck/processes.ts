import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { errorText, GatewayError } from '../core/errors.ts'
import { type CommandWords, commandWords, fillWords } from './commands.ts'
import type { CommandText } from './plan.ts'
import type { Timeline } from './timeline.ts'

const KEPT_OUTPUT = 4000

/** A TCP port of 127.0.0.1 that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

export interface ProcessOptions {
  readonly name: string
  readonly command: CommandText
  readonly words: CommandWords
  /** Values are filled like the command. */
  readonly env: Readonly<Record<string, string>>
  readonly folder: string
  readonly timeline: Timeline
  readonly address?: string
  readonly version?: string
}

/** A process that rollcheck started, with its place in the timeline. */
export class ManagedProcess {
  readonly name: string
  readonly #child: ChildProcess
  readonly #timeline: Timeline
  readonly #exit: Promise<void>
  #output = ''
  #failure: string | undefined
  #isTold = false

  constructor({ name, command, words, env, folder, timeline, address, version }: ProcessOptions) {
    this.name = name
    this.#timeline = timeline
    const [program, ...args] = commandWords(command, words)
    const own = Object.fromEntries(Object.entries(env).map(([key, value]) => [key, fillWords(value, words)]))
    timeline.start(
      name,
      { ...(address === undefined ? {} : { address }), ...(version === undefined ? {} : { version }) },
      Date.now(),
    )
    this.#child = spawn(program, args, {
      cwd: folder,
      env: { ...process.env, ...own },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own: Ctrl-C reaches rollcheck alone, which ends the load first.
      detached: true,
    })
    const keep = (chunk: Buffer) => {
      this.#output = (this.#output + chunk.toString()).slice(-KEPT_OUTPUT)
    }
    this.#child.stdout?.on('data', keep)
    this.#child.stderr?.on('data', keep)
    process.on('exit', this.killNow)
    this.#exit = new Promise((resolve) => {
      this.#child.once('error', (error) => {
        this.#failure = errorText(error)
        this.#onExit(127)
        resolve()
      })
      this.#child.once('exit', (code, signal) => {
        this.#onExit(code ?? signal ?? 'unknown')
        resolve()
      })
    })
  }

  get isRunning(): boolean {
    return this.#failure === undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** What it wrote last. */
  get output(): string {
    return (this.#failure ?? this.#output).trim()
  }

  /** Resolves when the process has ended. */
  get exited(): Promise<void> {
    return this.#exit
  }

  #onExit(exit: number | string): void {
    process.off('exit', this.killNow)
    this.#timeline.exit(this.name, exit, Date.now())
    if (!this.#isTold) this.#timeline.find(this.name, `ended by itself (${exit}): ${this.output.slice(-300)}`)
  }

  /** Ends the whole group at once: for what would be left behind. */
  readonly killNow = (): void => {
    if (this.#child.pid === undefined || !this.isRunning) return
    this.#isTold = true
    try {
      process.kill(-this.#child.pid, 'SIGKILL')
    } catch {
      this.#child.kill('SIGKILL')
    }
  }

  /** Sends the signal, waits for the end, and notes what was not as it should be. */
  async stop(signal: NodeJS.Signals, timeoutMs: number): Promise<void> {
    if (!this.isRunning) return
    this.#isTold = true
    this.#timeline.note(this.name, 'told to stop', Date.now())
    this.#child.kill(signal)
    let hadToKill = false
    const timer = setTimeout(() => {
      hadToKill = true
      this.killNow()
    }, timeoutMs)
    await this.#exit
    clearTimeout(timer)
    const { exitCode, signalCode } = this.#child
    if (hadToKill) this.#timeline.find(this.name, `did not end within ${timeoutMs} ms of ${signal}: SIGKILL`)
    else if (signal !== 'SIGKILL' && exitCode !== 0) {
      this.#timeline.find(this.name, `ended with ${exitCode ?? signalCode} after ${signal}, not with 0`)
    }
  }
}

/** Runs a command to its end. Throws GW_ROLL_FAILED when it fails or takes too long. */
export async function runCommand(options: {
  readonly command: CommandText
  readonly words: CommandWords
  readonly env: Readonly<Record<string, string>>
  readonly folder: string
  readonly timeoutMs: number
}): Promise<void> {
  const [program, ...args] = commandWords(options.command, options.words)
  const own = Object.entries(options.env).map(([key, value]) => [key, fillWords(value, options.words)])
  const child = spawn(program, args, {
    cwd: options.folder,
    env: { ...process.env, ...Object.fromEntries(own) },
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: options.timeoutMs,
  })
  let output = ''
  child.stderr.on('data', (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-KEPT_OUTPUT)
  })
  const line = [program, ...args].join(' ')
  try {
    // Not `close`: what it leaves running may hold its standard error.
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
    if (code === 0) return
    throw new GatewayError('GW_ROLL_FAILED', `${line} ended with ${code ?? signal}: ${output.trim()}`)
  } catch (cause) {
    if (cause instanceof GatewayError) throw cause
    throw new GatewayError('GW_ROLL_FAILED', `${line}: ${errorText(cause)}`, { cause })
  }
}
