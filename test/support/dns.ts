import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GatewayError } from '../../src/core/errors.ts'
import { freePort } from './ports.ts'
import { waitFor } from './wait.ts'

const READY_TIMEOUT_MS = 10_000

/** A real DNS server (Knot) with the zone `test`. */
export interface TestDns {
  /** `127.0.0.1:port`. */
  readonly server: string
  /** The records of the zone, one line each: `cart 1 A 10.0.0.7`. Resolves when they are served. */
  publish(records: readonly string[]): Promise<void>
  /** SIGSTOP and SIGCONT: it says nothing. */
  freeze(): void
  thaw(): void
  /** SIGKILL, and wait for the end. */
  kill9(): Promise<void>
  /** Starts it again with the records that it had. */
  restart(): Promise<void>
  /** Ends the process and removes its folder. */
  stop(): Promise<void>
}

/** Starts a server on a free loopback port. `negativeTtl`: of what is not there, s. The caller must `stop` it. */
export async function startDns({ isDown = false, negativeTtl = 1 } = {}): Promise<TestDns> {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'sluice-dns-'))
  const socket = join(folder, 'knot.sock')
  let serial = 0
  let records: readonly string[] = []
  let child: ChildProcess | undefined
  let output = ''
  const write = () => {
    const head = `test. 1 SOA ns.test. h.test. ${++serial} 60 60 600 ${negativeTtl}\ntest. 1 NS ns.test.\nns.test. 1 A 127.0.0.1`
    writeFileSync(join(folder, 'test.zone'), `$ORIGIN test.\n${[head, ...records].join('\n')}\n`)
  }
  writeFileSync(join(folder, 'knot.conf'), configOf(folder, port))
  const control = (...args: string[]) =>
    spawnSync('knotc', ['-s', socket, '-b', ...args], { encoding: 'utf8', timeout: 10_000 })
  const start = async () => {
    write()
    child = spawn('knotd', ['-c', join(folder, 'knot.conf')], { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        output = (output + chunk.toString()).slice(-10_000)
      })
    }
    const isUp = () => control('zone-status', 'test', '+serial').stdout.includes(`serial: ${serial}`)
    await waitFor(isUp, { timeoutMs: READY_TIMEOUT_MS, what: `knotd: ${output}` })
  }
  const kill9 = async () => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const closed = once(child, 'close')
    child.kill('SIGKILL')
    await closed
  }
  if (!isDown) await start()
  return {
    server: `127.0.0.1:${port}`,
    async publish(next) {
      records = next
      if (child === undefined) return
      write()
      const { status, stderr, stdout } = control('zone-reload', 'test')
      if (status !== 0) throw new GatewayError('GW_INTERNAL_STATE', `knotc: ${stdout}${stderr}`)
    },
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    kill9,
    async restart() {
      await kill9()
      await start()
    },
    async stop() {
      await kill9()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const configOf = (folder: string, port: number) => `server:
  rundir: "${folder}"
  listen: 127.0.0.1@${port}
control:
  listen: "${folder}/knot.sock"
database:
  storage: "${folder}"
log:
  - target: stderr
    any: warning
zone:
  - domain: test
    storage: "${folder}"
    file: test.zone
    zonefile-load: whole
    zonefile-sync: -1
    journal-content: none
`
