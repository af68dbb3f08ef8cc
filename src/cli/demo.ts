import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { run } from './run.ts'
import type { ExitCode, Terminal } from './terminal.ts'

const QUICKSTART = join(import.meta.dirname, '../../examples/quickstart')
const INSTANCES = [
  { name: 'catalog', version: '1.0.0' },
  { name: 'catalog', version: '2.0.0' },
  { name: 'orders', version: '1.0.0' },
]

function startInstance({ name, version }: { name: string; version: string }, registry: string): ChildProcess {
  return spawn(process.execPath, [join(QUICKSTART, 'service.ts'), '--name', name, '--version', version], {
    stdio: ['ignore', 'ignore', 'inherit'],
    // A group of its own: Ctrl-C reaches the gateway alone, which drains first and then ends these.
    detached: true,
    env: { ...process.env, CONSUL_HTTP_ADDR: registry },
  })
}

/** `sluice demo`: the gateway of examples/quickstart with three instances that register with it. */
export async function demo(options: { json?: true }, terminal: Terminal): Promise<ExitCode> {
  const instances: ChildProcess[] = []
  const stopAll = () => {
    for (const instance of instances) instance.kill('SIGTERM')
  }
  // Also when a second signal ends this process at once.
  process.on('exit', stopAll)
  try {
    return await run({ ...options, config: QUICKSTART }, terminal, {
      beforeFirstTable: (gateway) => {
        for (const instance of INSTANCES) instances.push(startInstance(instance, gateway.adminUrl))
      },
      expectInstances: INSTANCES.length,
      hint: (gateway) => [
        `try   curl ${gateway.publicUrl}/catalog/items/1`,
        `      curl ${gateway.publicUrl}/orders/7`,
        `      npx sluice explain GET ${gateway.publicUrl}/catalog/items/1`,
        `      open ${gateway.adminUrl}/   (page)`,
        `then  edit examples/quickstart/routes.d/shop.yaml and save: it is live at once`,
      ],
    })
  } finally {
    stopAll()
  }
}
