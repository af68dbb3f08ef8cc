import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { waitFor } from '../test/support/wait.ts'

/** The repository's root. */
export const ROOT = join(import.meta.dirname, '..')

/** A process under measurement. */
export interface Bench {
  readonly name: string
  readonly url: string
  readonly pid: number
  stop(): void
}

/** The machine and Node in one line, for the head of a table. */
export function machineLine(): string {
  const cpu = cpus()[0]?.model ?? 'unknown CPU'
  return `${cpus().length} × ${cpu}, Node ${process.versions.node}`
}

/** A temporary folder that goes when the process ends. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function descendants(pid: number): number[] {
  const found = [pid]
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      const parent = Number(readFileSync(`/proc/${entry}/stat`, 'utf8').split(') ')[1]?.split(' ')[1])
      if (parent === pid) found.push(...descendants(Number(entry)))
    } catch {
      // The process ended while we looked.
    }
  }
  return found
}

/** CPU seconds, user and system, that a process and its children have used. */
export function cpuSeconds(pid: number): { user: number; system: number } {
  let user = 0
  let system = 0
  for (const each of descendants(pid)) {
    const fields = readFileSync(`/proc/${each}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    user += Number(fields[11]) / 100
    system += Number(fields[12]) / 100
  }
  return { user, system }
}

/** CPU that the threads of a process have used, to the microsecond: `cpuSeconds` counts in hundredths of a second. µs. */
export function cpuMicros(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`)
  return threads.reduce((sum, thread) => {
    const [used] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')
    return sum + Number(used) / 1000
  }, 0)
}

/** Resident memory of a process. MiB. */
export function residentMiB(pid: number): number {
  const line = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(line?.[1] ?? 0) / 1024
}

/** Starts a program and waits until `url` answers. It is ended with this process at the latest. */
export async function startProgram(
  name: string,
  command: readonly string[],
  url: string,
  options: { env?: NodeJS.ProcessEnv; probe?: string } = {},
): Promise<Bench> {
  const child: ChildProcess = spawn(command[0] as string, command.slice(1), {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, ...options.env },
  })
  const stop = () => {
    child.kill('SIGKILL')
  }
  process.on('exit', stop)
  await waitFor(async () => (await fetch(options.probe ?? url)).ok, { timeoutMs: 20_000, what: name })
  return { name, url, pid: child.pid as number, stop }
}

/** An nginx in the foreground with this `server { … }` body. */
export function startNginx(name: string, port: number, http: string, path = '/'): Promise<Bench> {
  const folder = scratch()
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid ${folder}/nginx.pid; error_log /dev/null;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 100000000; keepalive_timeout 75s;
  client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f;
  uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  ${http}
}`,
  )
  const command = ['nginx', '-p', folder, '-c', join(folder, 'nginx.conf')]
  return startProgram(name, command, `http://127.0.0.1:${port}${path}`)
}

/** One bounded run of wrk. */
export function wrk(
  url: string,
  options: { seconds: number; connections: number; script?: string },
): { requests: number; rps: number } {
  const { seconds, connections, script } = options
  const flags = script === undefined ? [] : ['-s', script]
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, ...flags, url]
  const { stdout } = spawnSync('wrk', args, { encoding: 'utf8' })
  const bad = /Non-2xx or 3xx responses: (\d+)/.exec(stdout)
  if (bad !== null) process.stderr.write(`wrk ${url}: ${bad[0]}\n`)
  return {
    requests: Number(/(\d+) requests in/.exec(stdout)?.[1] ?? 0),
    rps: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1] ?? 0),
  }
}

/** The middle value. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}
