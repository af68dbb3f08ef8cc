import { type Command, Option } from 'commander'
import { type HistoryOptions, history } from './history.ts'
import { configOption } from './options.ts'
import { type PullOptions, pull } from './pull.ts'
import { type PushOptions, push, type WriteOptions } from './push.ts'
import { rollback } from './rollback.ts'
import type { ExitCode, Terminal } from './terminal.ts'

type Done = (code: ExitCode) => void

/** What every verb says of the store. */
const ofStore = (command: Command): Command =>
  command
    .addOption(configOption())
    .option(
      '--store <url>',
      'http://host:8500 (Consul) or etcd://host:2379 instead of configuration.store; tokens from CONSUL_* and ETCDCTL_*',
    )
    .option('--prefix <prefix>', 'of the keys (default: configuration.prefix)')
    .option('--json', 'print the outcome as JSON')

const ofWrite = (command: Command): Command =>
  ofStore(command)
    .option('-m, --message <text>', 'why, for the history')
    .option('--by <name>', 'who (default: user and host)')
    .option('--force', 'gateways take it even if it changes more than guard.maxChangedPercent')
    .option('--dry-run', 'check and show what changes; write nothing')
    .addOption(
      new Option(
        '--admin <url>',
        'a running gateway: asked before what it makes of it, and after whether it took it',
      ),
    )
    .addOption(new Option('--token <token>', 'its admin token').env('SLUICE_ADMIN_TOKEN'))

/** push, pull, history and rollback: configuration in a key-value store. */
export function defineStore(program: Command, terminal: Terminal, done: Done): void {
  ofWrite(
    program
      .command('push')
      .description('check routes.d and canary.d of a folder and make them the next revision of the store')
      .argument('[folder]', 'holds routes.d and canary.d (default: that of sluice.yaml)'),
  )
    .option(
      '--base <revision>',
      'the revision that the folder comes from (default: as pull or push noted in .sluice-revision)',
    )
    .addHelpText(
      'after',
      '\nExit: 0 pushed, or nothing new; 1 not valid, somebody else pushed, or --admin rejects it; 2 misuse or unreachable',
    )
    .action(async (folder: string | undefined, options: PushOptions) =>
      done(await push({ ...options, ...(folder === undefined ? {} : { folder }) }, terminal)),
    )

  ofStore(
    program
      .command('pull')
      .description('write what the store has into routes.d and canary.d of a folder')
      .argument('[folder]', 'default: that of sluice.yaml'),
  )
    .option('--revision <number>', 'an earlier one (default: the one in force)')
    .option('--force', 'over changes that were made in the folder')
    .addHelpText('after', '\nExit: 0 done, 1 the folder has changes of its own, 2 misuse or unreachable')
    .action(async (folder: string | undefined, options: PullOptions) =>
      done(await pull({ ...options, ...(folder === undefined ? {} : { folder }) }, terminal)),
    )

  ofStore(program.command('history').description('list the revisions of the store, the newest first'))
    .addHelpText('after', '\nExit: 0 listed, 2 misuse or unreachable')
    .action(async (options: HistoryOptions) => done(await history(options, terminal)))

  ofWrite(
    program
      .command('rollback')
      .description('make the files of an earlier revision the next revision of the store')
      .argument('<revision>', 'its number, as history has it'),
  )
    .addHelpText(
      'after',
      '\nExit: 0 done, 1 not valid any more, somebody else pushed, or --admin rejects it; 2 misuse or unreachable',
    )
    .action(async (revision: string, options: WriteOptions) =>
      done(await rollback(revision, options, terminal)),
    )
}
