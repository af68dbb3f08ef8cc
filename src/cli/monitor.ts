import type { Command } from 'commander'
import { configOption } from './options.ts'
import { run } from './run.ts'
import type { ExitCode, Terminal } from './terminal.ts'

/** `sluice monitor`: the admin side of a whole fleet, without a proxy. */
export function defineMonitor(program: Command, terminal: Terminal, done: (code: ExitCode) => void): void {
  program
    .command('monitor')
    .description('watch registries and gateways, serve API and page for all of them; no clients are served')
    .addOption(configOption())
    .option('--address <address:port>', 'where API and page listen, in the place of admin.address')
    .option('--json', 'print the start-up report as one line of JSON')
    .addHelpText(
      'after',
      '\nIt reads the same sluice.yaml as the gateways. With fleet.store, or with fleet.push of the gateways, it shows\nwhat each of them sees. Docs: docs/fleet.md',
    )
    .action(async (options: { config: string; address?: string; json?: true }) =>
      done(await run({ ...options, role: 'monitor' }, terminal)),
    )
}
