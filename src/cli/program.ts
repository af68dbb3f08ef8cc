import { Command, CommanderError, Option } from 'commander'
import { errorText, GatewayError } from '../core/errors.ts'
import { defineCanary } from './canary.ts'
import { check } from './check.ts'
import { type DebugTokenOptions, debugToken } from './debug-token.ts'
import { defineStore } from './define-store.ts'
import { demo } from './demo.ts'
import { type DiffOptions, diff } from './diff.ts'
import { drain } from './drain.ts'
import { explain } from './explain.ts'
import { type HashOptions, hash } from './hash.ts'

import { defineMonitor } from './monitor.ts'
import { defineMonitorVerbs } from './monitor-verbs.ts'
import { configOption } from './options.ts'

import { type ReloadOptions, reload } from './reload.ts'
import { type RollcheckOptions, rollcheck } from './rollcheck.ts'
import { run } from './run.ts'
import { schema } from './schema.ts'
import { storeDiff } from './store-diff.ts'
import type { StoreOptions } from './store-target.ts'
import { type ExitCode, packageVersion, processTerminal, type Terminal } from './terminal.ts'

function defineVerbs(program: Command, terminal: Terminal, done: (code: ExitCode) => void): void {
  program
    .command('run')
    .description('run the gateway')
    .addOption(configOption())
    .option('--json', 'print the start-up report as one line of JSON')
    .action(async (options: { config: string; json?: true }) => done(await run(options, terminal)))

  program
    .command('demo')
    .description('run the gateway with an embedded registry and three demo instances, and print what to try')
    .option('--json', 'print the start-up report as one line of JSON')
    .action(async (options: { json?: true }) => done(await demo(options, terminal)))

  program
    .command('check')
    .description('check a configuration: syntax, schema, references, shadowed and ambiguous routes')
    .argument('[path]', 'sluice.yaml, or the folder that holds it (like --config)')
    .addOption(configOption())
    .option('--strict', 'a warning is a finding, too (exit 1)')
    .option('--json', 'print the problems as JSON')
    .addHelpText(
      'after',
      '\nExit: 0 valid, 1 not valid (with --strict: or a warning), 2 the file cannot be read',
    )
    .action(async (path: string | undefined, options: { config: string; strict?: true; json?: true }) =>
      done(await check({ ...options, config: path ?? options.config }, terminal)),
    )

  program
    .command('explain')
    .description('say which route and version a request takes and why, and to which instances it may go')
    .argument('<method>', 'GET, POST …')
    .argument('<url>', 'http://shop.example.com/api/x')
    .option(
      '-H, --header <name: value>',
      'a request header; repeatable',
      (v: string, all: string[]) => [...all, v],
      [],
    )
    .option('--ip <address>', 'the client address', '127.0.0.1')
    .option(
      '--claim <name=value>',
      'a claim of the client, as if an identity filter had found it (sub = who it is); repeatable',
      (v: string, all: string[]) => [...all, v],
      [],
    )
    .option('--trusted', 'as if it came from a trusted proxy')
    .option('-c, --config <path>', 'explain by these files instead of asking the running gateway')
    .addOption(
      new Option('--admin <url>', 'admin address of the running gateway')
        .env('SLUICE_ADMIN_URL')
        .default('http://127.0.0.1:8081'),
    )
    .addOption(new Option('--token <token>', 'admin token').env('SLUICE_ADMIN_TOKEN'))
    .option('--json', 'print the explanation as JSON')
    .addHelpText('after', '\nExit: 0 a route takes it, 1 none does, 2 the gateway cannot be reached')
    .action(async (method: string, url: string, options) =>
      done(await explain({ method, url, ...options }, terminal)),
    )

  program
    .command('drain')
    .description('take an instance out of rotation: nothing new goes there, what is under way finishes')
    .argument('<instance>', 'its id, its key, or address:port')
    .option('--undo', 'back into rotation')
    .option('--reason <text>', 'for whoever looks at it', '')
    .option('--wait <time>', 'wait until nothing is under way there: 60s, 2m')
    .option(
      '--admin <url>',
      'admin address of a gateway; repeatable (default: SLUICE_ADMIN_URL, else http://127.0.0.1:8081)',
      (url: string, all: string[] | undefined) => [...(all ?? []), url],
    )
    .addOption(new Option('--token <token>', 'admin token').env('SLUICE_ADMIN_TOKEN'))
    .option('--json', 'print the outcome as JSON')
    .addHelpText(
      'after',
      '\nExit: 0 done, 1 not known there or not idle in time, 2 misuse, or a gateway cannot be reached',
    )
    .action(async (instance: string, options) => {
      const admin = options.admin ?? [terminal.env['SLUICE_ADMIN_URL'] ?? 'http://127.0.0.1:8081']
      done(await drain({ ...options, instance, admin }, terminal))
    })

  program
    .command('schema')
    .description('print the JSON schema of the configuration, for editors')
    .option('--routes', 'the schema of routes.d/*.yaml instead')
    .option('--canary', 'the schema of canary.d/*.yaml instead')
    .option('--out <file>', 'write to this file')
    .option('--json', 'no effect: the schema is JSON')
    .action(async (options: { routes?: true; canary?: true; out?: string }) =>
      done(await schema(options, terminal)),
    )
}

const adminOption = () =>
  new Option('--admin <url>', 'admin address of the running gateway')
    .env('SLUICE_ADMIN_URL')
    .default('http://127.0.0.1:8081')
const tokenOption = () => new Option('--token <token>', 'admin token').env('SLUICE_ADMIN_TOKEN')

function defineChanges(program: Command, terminal: Terminal, done: (code: ExitCode) => void): void {
  program
    .command('diff')
    .description(
      'say what a new configuration changes against the running gateway, by its routes and over remembered requests',
    )
    .addOption(
      new Option(
        '-c, --config <path>',
        'the new one: sluice.yaml, the folder that holds it, or one file of routes.d',
      ).default('sluice.yaml'),
    )
    .argument('[folder]', 'with --store: holds routes.d and canary.d (default: that of sluice.yaml)')
    .option('--from <path>', 'compare with these files instead; no gateway is asked')
    .option(
      '--store [url]',
      'compare with the configuration store (of sluice.yaml): what a push would change',
    )
    .option('--prefix <prefix>', 'with --store: of its keys (default: configuration.prefix)')
    .addOption(adminOption())
    .addOption(tokenOption())
    .option('--examples <number>', 'requests shown of each kind of change', '3')
    .option('--json', 'print the changes as JSON')
    .addHelpText(
      'after',
      '\nExit: 0 nothing changes, 1 something does, 2 not valid, misuse, or the gateway cannot be reached',
    )
    .action(async (folder: string | undefined, options: DiffOptions & StoreOptions) => {
      if (options.store === undefined) return done(await diff(options, terminal))
      done(await storeDiff({ ...options, ...(folder === undefined ? {} : { folder }) }, terminal))
    })

  program
    .command('reload')
    .description('let the running gateway read its configuration again')
    .option('--force', 'take it even if it changes more than guard.maxChangedPercent')
    .addOption(adminOption())
    .addOption(tokenOption())
    .option('--json', 'print the outcome as JSON')
    .addHelpText(
      'after',
      '\nExit: 0 taken, or nothing new; 1 rejected; 2 misuse, or the gateway cannot be reached',
    )
    .action(async (options: ReloadOptions) => done(await reload(options, terminal)))
}

const repeated = (value: string, all: readonly string[]) => [...all, value]

function defineRollcheck(program: Command, terminal: Terminal, done: (code: ExitCode) => void): void {
  program
    .command('rollcheck')
    .description(
      'restart instances one after another under load, and report each lost, duplicated or late request',
    )
    .argument('[plan]', 'plan.yaml (docs/rollcheck.md); the flags alone do for a load of GETs')
    .option('--url <url>', 'what clients call')
    .option('--admin <url>', 'admin address of a gateway; repeatable', repeated, [])
    .addOption(new Option('--token <token>', 'admin token').env('SLUICE_ADMIN_TOKEN'))
    .option('--service <name>', 'the service that is rolled')
    .option('--restart <command>', 'restarts one instance; has {id} {address} {port} {n}')
    .option('--rate <number>', 'requests a second (200)')
    .option('--rounds <number>', 'how often everything is rolled (1)')
    .option('--late <duration>', 'slower than this is late (1s)')
    .option('--duration <duration>', 'load at least this long; without --restart: watch this long')
    .option('--count <number>', 'at least this many requests')
    .option('--json', 'print the report as JSON')
    .addHelpText(
      'after',
      '\nExit: 0 nothing lost or duplicated, 1 something was, 2 misuse, unreachable, or the roll did not end',
    )
    .action(async (plan: string | undefined, options: RollcheckOptions) =>
      done(await rollcheck(plan, options, terminal)),
    )
}

function defineDebugToken(program: Command, terminal: Terminal, done: (code: ExitCode) => void): void {
  program
    .command('debug-token')
    .description('print a request header that makes the gateway explain the request that has it')
    .option('--ttl <time>', 'how long it is good: 5m, at most 24h', '5m')
    .addOption(configOption())
    .option('--json', 'print header, value and expiry as JSON')
    .addHelpText(
      'after',
      '\nThe key is admin.debugKey, or SLUICE_ADMIN_DEBUG_KEY. curl -si -H "$(sluice debug-token)" URL\n' +
        'Exit: 0 printed, 1 the configuration is not valid, 2 misuse, or no key',
    )
    .action(async (options: DebugTokenOptions) => done(await debugToken(options, terminal)))
}

function defineHash(program: Command, terminal: Terminal, done: (code: ExitCode) => void): void {
  program
    .command('hash')
    .description('make an API key and its hash, or hash a password: what the filters api-key and basic take')
    .addOption(
      new Option('--type <type>', 'sha256 for keys, scrypt or bcrypt for passwords')
        .choices(['sha256', 'scrypt', 'bcrypt'])
        .default('sha256'),
    )
    .option('--generate', 'make a key of 256 random bits instead of reading one; it is shown once')
    .option('--id <id>', 'id of the key (default: made of its hash)')
    .option('--owner <name>', 'owner of the key, name of the user')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nThe secret is read from standard input, or asked for.\nExit: 0 done, 2 misuse, or a secret that is too weak',
    )
    .action(async (options: HashOptions) => done(await hash(options, terminal)))
}

/**
 * The command line: `sluice <verb>`. Resolves to the exit code; prints errors itself.
 * Without a verb it prints the help and counts as misuse.
 */
export async function runProgram(argv: readonly string[], terminal = processTerminal()): Promise<ExitCode> {
  let code: ExitCode = 0
  const program = new Command('sluice')
    .description('Sluice: a dynamic-routing API gateway')
    .version(packageVersion(), '-V, --version')
    // So that verbs may have a --version of their own.
    .enablePositionalOptions()
    .showHelpAfterError('(--help shows what there is)')
    .configureOutput({
      writeOut: (text) => terminal.out(text.trimEnd()),
      writeErr: (text) => terminal.err(text.trimEnd()),
    })
    .exitOverride()
  const done = (result: ExitCode) => {
    code = result
  }
  defineVerbs(program, terminal, done)
  defineChanges(program, terminal, done)
  defineRollcheck(program, terminal, done)
  defineHash(program, terminal, done)
  defineDebugToken(program, terminal, done)
  defineCanary(program, terminal, done)
  defineStore(program, terminal, done)
  defineMonitor(program, terminal, done)
  defineMonitorVerbs(program, terminal, done)
  for (const verb of program.commands) {
    verb.exitOverride()
    for (const below of verb.commands) below.exitOverride()
  }
  try {
    await program.parseAsync(argv)
    return code
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2
    const prefix = thrown instanceof GatewayError ? thrown.code : 'error'
    terminal.err(`sluice: ${prefix}: ${errorText(thrown)}`)
    return thrown instanceof GatewayError && thrown.code === 'GW_CONFIG_INVALID' ? 1 : 2
  }
}
