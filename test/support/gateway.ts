import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GatewayError } from '../../src/core/errors.ts'
import { freePort } from './ports.ts'
import { waitFor } from './wait.ts'

const ROOT = join(import.meta.dirname, '../..')

/** A gateway in a process of its own, as an operator runs it. */
export interface GatewayProcess {
  readonly publicUrl: string
  readonly adminUrl: string
  readonly pid: number
  /** Holds sluice.yaml and routes.d. */
  readonly folder: string
  /** Everything it wrote to standard output and error so far. */
  output(): string
  /** Replaces routes.d/<name> in one step, as editors and deployment tools do. */
  writeRoutes(name: string, yaml: string): void
  /** JSON of an admin endpoint. */
  admin<T>(path: string, init?: RequestInit): Promise<T>
  signal(name: NodeJS.Signals): void
  /** SIGTERM and wait; resolves to the exit code. */
  stop(): Promise<number | null>
  exited(): Promise<number | null>
}

export interface GatewayOptions {
  /** YAML appended to sluice.yaml after `version`, `listen` and `admin`. */
  readonly yaml?: string
  /** Contents of files in routes.d. */
  readonly routes?: Readonly<Record<string, string>>
  readonly env?: Readonly<Record<string, string>>
  /** Runs before the gateway starts, with its folder. */
  readonly prepare?: (folder: string) => void
  /** Default `run`. */
  readonly verb?: 'run' | 'monitor'
  /** Wait for readiness. Default true. */
  readonly waitReady?: boolean
}

/** Starts `sluice run` on free ports with the given configuration. The caller must `stop` it. */
export async function startGateway(options: GatewayOptions = {}): Promise<GatewayProcess> {
  const [port, adminPort] = [await freePort(), await freePort()]
  const folder = mkdtempSync(join(tmpdir(), 'sluice-gateway-'))
  mkdirSync(join(folder, 'routes.d'))
  writeFileSync(
    join(folder, 'sluice.yaml'),
    `version: 1
listen: { http: { address: "127.0.0.1:${port}" } }
admin: { address: "127.0.0.1:${adminPort}" }
${options.yaml ?? ''}`,
  )
  const writeRoutes = (name: string, yaml: string) => {
    writeFileSync(join(folder, `.${name}.new`), yaml)
    renameSync(join(folder, `.${name}.new`), join(folder, 'routes.d', name))
  }
  for (const [name, yaml] of Object.entries(options.routes ?? {})) writeRoutes(name, yaml)

  options.prepare?.(folder)
  const child: ChildProcess = spawn(
    join(ROOT, 'bin/sluice'),
    [options.verb ?? 'run', '-c', folder, '--json'],
    {
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let output = ''
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-200_000)
  }
  child.stdout?.on('data', keep)
  child.stderr?.on('data', keep)
  // `close`: all of its output has been read, too.
  const exit = once(child, 'close').then(([code]) => {
    rmSync(folder, { recursive: true, force: true })
    return code as number | null
  })
  const adminUrl = `http://127.0.0.1:${adminPort}`
  const gateway: GatewayProcess = {
    publicUrl: `http://127.0.0.1:${port}`,
    adminUrl,
    pid: child.pid as number,
    folder,
    output: () => output,
    writeRoutes,
    async admin<T>(path: string, init?: RequestInit) {
      const response = await fetch(adminUrl + path, init)
      return (await response.json()) as T
    },
    signal: (name) => void child.kill(name),
    stop() {
      child.kill('SIGTERM')
      const force = setTimeout(() => child.kill('SIGKILL'), 40_000)
      return exit.finally(() => clearTimeout(force))
    },
    exited: () => exit,
  }
  if (options.waitReady === false) return gateway
  try {
    await waitFor(
      async () => {
        if (child.exitCode !== null) return 'exited'
        return (await fetch(`${adminUrl}/health/ready`)).ok
      },
      { timeoutMs: 20_000, what: 'the gateway to be ready' },
    )
  } catch (cause) {
    child.kill('SIGKILL')
    throw new GatewayError('GW_INTERNAL_STATE', `the gateway did not get ready:\n${output}`, { cause })
  }
  if (child.exitCode !== null) throw new GatewayError('GW_INTERNAL_STATE', `the gateway ended:\n${output}`)
  return gateway
}

/** One instance of a service in a process of its own. */
export interface ServiceProcess {
  readonly pid: number
  readonly name: string
  kill9(): Promise<void>
  /** SIGTERM: the instance drains. */
  stop(): Promise<void>
}

/** Starts examples/quickstart/service.ts, which registers itself with the agent at `registry`. */
export async function startService(options: {
  registry: string
  name: string
  version?: string
  port?: number
  /** Further environment. */
  env?: Readonly<Record<string, string>>
}): Promise<ServiceProcess> {
  const child = spawn(
    process.execPath,
    [
      join(ROOT, 'examples/quickstart/service.ts'),
      '--name',
      options.name,
      '--version',
      options.version ?? '1.0.0',
      '--port',
      String(options.port ?? 0),
    ],
    {
      env: { ...process.env, CONSUL_HTTP_ADDR: options.registry, ...options.env },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const exit = once(child, 'exit')
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  await waitFor(() => output.includes('listens on'), { what: `${options.name} to listen` })
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal)
    await exit
  }
  return {
    pid: child.pid as number,
    name: options.name,
    kill9: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
  }
}
