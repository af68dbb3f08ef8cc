import { type Command, Option } from 'commander'
import { GatewayError } from '../core/errors.ts'
import type { AdminAddress } from './admin-call.ts'
import { type EventsOptions, events } from './events.ts'
import { listOf, nameMatch } from './figures.ts'
import type { Finding } from './findings.ts'
import { instancesTable, STATES } from './instances.ts'
import { askMonitor, type MonitorAnswers } from './monitor-answers.ts'
import { bodyLines, exitCodeOf, gatewayNotes, type MonitorTable } from './monitor-table.ts'
import { servicesTable } from './services.ts'
import { lineText } from './styled.ts'
import { type ExitCode, type Terminal, untilInterrupted } from './terminal.ts'
import { type Watched, watchTable } from './watch-table.ts'

interface LookOptions extends AdminAddress {
  readonly watch?: true
  readonly problems?: true
  readonly strict?: true
  readonly json?: true
}

interface ServicesOptions extends LookOptions {
  readonly routed?: true
}

interface InstancesOptions extends LookOptions {
  readonly state?: string
  readonly node?: string
  readonly version?: string
}

type Done = (code: ExitCode) => void

const COLUMNS_TEXT = `
A verdict is healthy, unhealthy (the gateway knows it: a failed check, an ejection, none in rotation) or unknown (it
cannot tell: the registry does not answer, a guard holds the instance, its whole node is silent).
`
const EXITS = `
Exit: 0 all is well (what is unknown is not held against it, unless --strict), 1 something is unhealthy or nothing has
that name, 2 misuse, or the gateway cannot be reached
`

function once<T extends { readonly findings: readonly Finding[] }>(
  answers: MonitorAnswers,
  table: MonitorTable<T>,
  terminal: Terminal,
): void {
  const text = (line: Parameters<typeof lineText>[0]) => lineText(line, terminal.hasColor)
  for (const line of bodyLines(table)) terminal.out(text(line))
  for (const line of gatewayNotes(answers, answers.topology.at)) terminal.err(text(line))
}

function jsonOf<T extends { readonly findings: readonly Finding[] }>(
  { topology, failures }: MonitorAnswers,
  { kind, rows, json }: MonitorTable<T>,
): object {
  const { at, gateway, registries, problems } = topology
  return { at, gateway, registries, [`${kind}s`]: rows.map(json), problems: [...problems, ...failures] }
}

async function look<T extends { readonly findings: readonly Finding[] }>(
  verb: string,
  options: LookOptions,
  terminal: Terminal,
  table: Watched<T>['table'],
): Promise<ExitCode> {
  const ask = () => askMonitor(options, { fleet: verb === 'instances' })
  const [isJson, isStrict] = [options.json === true, options.strict === true]
  const json = (answers: MonitorAnswers) => jsonOf(answers, table(answers, answers.topology.at))
  const interrupted = untilInterrupted()
  try {
    if (options.watch === true) {
      const watched = {
        verb,
        target: options,
        isJson,
        isStrict,
        ask,
        table,
        json: (answers: MonitorAnswers) => JSON.stringify(json(answers)),
      }
      return await watchTable(watched, terminal, interrupted.signal)
    }
    const answers = await ask()
    const shown = table(answers, answers.topology.at)
    if (isJson) terminal.out(JSON.stringify(json(answers), undefined, 2))
    else once(answers, shown, terminal)
    return exitCodeOf(shown, isStrict)
  } finally {
    interrupted.forget()
  }
}

function statesOf(text: string | undefined): { states?: readonly string[] } {
  if (text === undefined) return {}
  const states = listOf(text)
  const wrong = states.find((one) => !STATES.some((known) => known === one))
  if (wrong !== undefined) {
    throw new GatewayError('GW_CLI_MISUSE', `--state "${wrong}": there are ${STATES.join(', ')}`)
  }
  return { states }
}

function withAdmin(command: Command): Command {
  return command
    .addOption(
      new Option('--admin <url>', 'admin address of the running gateway')
        .env('SLUICE_ADMIN_URL')
        .default('http://127.0.0.1:8081'),
    )
    .addOption(new Option('--token <token>', 'admin token').env('SLUICE_ADMIN_TOKEN'))
}

/** `sluice services`, `sluice instances`, `sluice events`: what the gateway sees, in a terminal. */
export function defineMonitorVerbs(program: Command, terminal: Terminal, done: Done): void {
  withAdmin(program.command('services'))
    .description('services: how many instances are in rotation, versions, load, and what is wrong')
    .argument('[pattern]', 'name; * stands for anything, several with commas')
    .option('-w, --watch', 'stay and show what changes; Ctrl-C ends it')
    .option('--problems', 'only those that are not well, or not known to be')
    .option('--routed', 'not those that only a registry knows')
    .option('--strict', 'what is unknown is a finding, too (exit 1)')
    .option('--json', 'print it as JSON; with --watch a line each time')
    .addHelpText('after', COLUMNS_TEXT + EXITS)
    .action(async (pattern: string | undefined, options: ServicesOptions) => {
      const wanted = {
        name: nameMatch(pattern),
        problems: options.problems === true,
        routed: options.routed === true,
      }
      done(await look('services', options, terminal, (answers) => servicesTable(answers, wanted)))
    })

  withAdmin(program.command('instances'))
    .description('instances: address, version, state, use and why, checks, load; what other gateways see')
    .argument('[service]', 'name; * stands for anything, several with commas')
    .option('-w, --watch', 'stay and show what changes; Ctrl-C ends it')
    .option('--problems', 'only those that are unhealthy or unknown, here or for another gateway')
    .option('--state <states>', `any of: ${STATES.join(', ')}`)
    .option('--node <node>', 'on this node (*, commas)')
    .option('--version <version>', 'of this version (*, commas)')
    .option('--strict', 'what is unknown is a finding, too (exit 1)')
    .option('--json', 'print them as JSON; with --watch a line each time')
    .addHelpText('after', COLUMNS_TEXT + EXITS)
    .action(async (service: string | undefined, options: InstancesOptions) => {
      const wanted = {
        service: nameMatch(service),
        node: nameMatch(options.node),
        version: nameMatch(options.version),
        problems: options.problems === true,
        ...statesOf(options.state),
      }
      done(await look('instances', options, terminal, (answers, now) => instancesTable(answers, wanted, now)))
    })

  withAdmin(program.command('events'))
    .description('what happened: tables, instances, ejections, registries, releases')
    .option('-w, --watch', 'what happens from now on (with --since: from then on); Ctrl-C ends it')
    .option('--type <types>', 'only these: instance,ejection')
    .option('--service <name>', 'only of this service (*, commas)')
    .option('--since <duration>', 'not what is older: 90s, 10m, 2h')
    .option('--json', 'a line of JSON for each')
    .addHelpText(
      'after',
      '\nWithout --watch: what the gateway remembers (the last 500).\nExit: 0, or 2 misuse, or the gateway cannot be reached',
    )
    .action(async (options: EventsOptions) => done(await events(options, terminal)))
}
