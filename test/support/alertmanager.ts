import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './ports.ts'
import { waitFor } from './wait.ts'

const BINARY = 'prometheus-alertmanager'

/** An alert as Alertmanager shows it. */
export interface SeenAlert {
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly startsAt: string
  readonly endsAt: string
  readonly status: { readonly state: string }
}

/** A real Alertmanager of its own. */
export interface TestAlertmanager {
  readonly url: string
  /** Those that it takes for firing. */
  alerts(): Promise<SeenAlert[]>
  close(): Promise<void>
}

/** Starts one on free ports of 127.0.0.1; `webhook` gets what it would send to people, at once. */
export async function startAlertmanager(webhook: string): Promise<TestAlertmanager> {
  const [port, cluster] = [await freePort(), await freePort()]
  const folder = mkdtempSync(join(tmpdir(), 'sluice-alertmanager-'))
  const config = join(folder, 'alertmanager.yml')
  writeFileSync(
    config,
    `route: { receiver: test, group_wait: 0s, group_interval: 1s, group_by: ["..."] }
receivers: [{ name: test, webhook_configs: [{ url: "${webhook}", send_resolved: true }] }]
`,
  )
  const child: ChildProcess = spawn(
    BINARY,
    [
      `--config.file=${config}`,
      `--storage.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      `--cluster.listen-address=127.0.0.1:${cluster}`,
      '--cluster.settle-timeout=0s',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let output = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-5000)
  })
  const exit = once(child, 'exit')
  const url = `http://127.0.0.1:${port}`
  await waitFor(async () => (await fetch(`${url}/-/ready`)).ok, {
    timeoutMs: 20_000,
    what: `Alertmanager: ${output}`,
  })
  return {
    url,
    alerts: async () => (await (await fetch(`${url}/api/v2/alerts`)).json()) as SeenAlert[],
    async close() {
      child.kill('SIGKILL')
      await exit
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
