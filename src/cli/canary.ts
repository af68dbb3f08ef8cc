import { userInfo } from 'node:os'
import { type Command, Option } from 'commander'
import { GatewayError } from '../core/errors.ts'
import type { CanaryView, ReleaseCheckView, ReleaseCounts, ReleaseView } from '../core/views.ts'
import { type AdminAddress, callAdmin } from './admin-call.ts'
import type { ExitCode, Terminal } from './terminal.ts'

interface CanaryOptions extends AdminAddress {
  readonly json?: true
}

interface ActOptions extends CanaryOptions {
  readonly reason?: string
  readonly force?: true
}

type Done = (code: ExitCode) => void

const count = ({ total, bad }: { total: number; bad: number }) => `${bad} bad of ${total}`
const countsText = ({ canary, stable }: ReleaseCounts) => `canary ${count(canary)}, stable ${count(stable)}`
const when = (at: number) => new Date(at).toISOString().replace(/\.\d+Z$/, 'Z')

function lineOf({ name, percent, state, release, services }: CanaryView): string {
  const step = release === undefined || release.step === 0 ? '' : `, step ${release.step} of ${release.steps}`
  return `${name}  ${services.join(' ')}  ${percent}%  ${state}${step}`
}

function checkLines({ name, suspicion, breaches }: ReleaseCheckView): string[] {
  if (breaches === undefined)
    return [`check     ${name}: ${Math.round(suspicion * 100)} % of the way to an alarm`]
  if (breaches.length === 0) return [`check     ${name}: kept, as far as it was seen`]
  return breaches.map((text) => `check     ${name}: ${text}`)
}

function releaseLines(release: ReleaseView): string[] {
  return [
    `since     ${when(release.since)} by ${release.by}`,
    `reason    ${release.reason}`,
    `step      ${countsText(release.counts)}`,
    ...release.checks.flatMap(checkLines),
    ...release.history.map(
      ({ at, status, percent, by, reason, counts }) =>
        `history   ${when(at)}  ${percent}%  ${status}  ${by}: ${reason} (${countsText(counts)})`,
    ),
  ]
}

/** What there is no such of, or what its state does not allow, is a finding; everything else is thrown. */
function asFinding(thrown: unknown, terminal: Terminal): ExitCode {
  const isFinding =
    thrown instanceof GatewayError &&
    (thrown.code === 'GW_ADMIN_NOT_FOUND' || thrown.code === 'GW_ADMIN_CONFLICT')
  if (!isFinding) throw thrown
  terminal.err(`sluice: ${thrown.message}`)
  return 1
}

async function list(options: CanaryOptions, terminal: Terminal): Promise<ExitCode> {
  const answer = await callAdmin<{ canaries: readonly CanaryView[] }>(options, '/api/canaries')
  if (options.json === true) terminal.out(JSON.stringify(answer, undefined, 2))
  else if (answer.canaries.length === 0) terminal.out('no canary rules')
  else for (const view of answer.canaries) terminal.out(lineOf(view))
  return 0
}

async function show(name: string, options: CanaryOptions, terminal: Terminal): Promise<ExitCode> {
  try {
    const view = await callAdmin<CanaryView>(options, `/api/canaries/${encodeURIComponent(name)}`)
    if (options.json === true) {
      terminal.out(JSON.stringify(view, undefined, 2))
      return 0
    }
    terminal.out(lineOf(view))
    for (const side of view.sides) {
      const there = `${side.available} of ${side.instances} instances`
      terminal.out(`side      ${side.name} (${side.service}, ${side.select}): ${side.percent}%, ${there}`)
    }
    for (const line of view.release === undefined ? [] : releaseLines(view.release)) terminal.out(line)
    return 0
  } catch (thrown) {
    return asFinding(thrown, terminal)
  }
}

async function act(
  name: string,
  what: { readonly action: string; readonly percent?: number },
  options: ActOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const { reason = '', force, json } = options
  const body = { ...what, reason, by: userInfo().username, ...(force === true ? { force } : {}) }
  try {
    const release = await callAdmin<ReleaseView>(options, `/api/canary/${encodeURIComponent(name)}`, body)
    if (json === true) terminal.out(JSON.stringify(release, undefined, 2))
    else terminal.out(`${name}  ${release.percent}%  ${release.status}`)
    return 0
  } catch (thrown) {
    return asFinding(thrown, terminal)
  }
}

const EXITS =
  '\nExit: 0 done, 1 there is no such release or its state does not allow it, 2 misuse, or the gateway cannot be reached'

function withAdmin(command: Command): Command {
  return command
    .addOption(
      new Option('--admin <url>', 'admin address of any gateway')
        .env('SLUICE_ADMIN_URL')
        .default('http://127.0.0.1:8081'),
    )
    .addOption(new Option('--token <token>', 'admin token').env('SLUICE_ADMIN_TOKEN'))
    .option('--json', 'print the answer as JSON')
    .addHelpText('after', EXITS)
}

const ACTIONS = {
  promote: 'on to the next step now',
  pause: 'stay at this share; what is seen of it still counts',
  resume: 'go on after a pause, or with this step after something held it; begin anew after an abort',
  abort: 'back to 0 at once, pins are released',
} as const

/** `sluice canary`: releases that lead themselves, and what a person does to them. */
export function defineCanary(program: Command, terminal: Terminal, done: Done): void {
  const canary = program
    .command('canary')
    .description('releases: where they stand; promote, pause, resume, abort, set their share')
    .addHelpText('after', `\nEach of them takes --admin, --token, --json.\n${EXITS}`)
  withAdmin(canary.command('list', { isDefault: true }).description('all rules and lanes')).action(
    async (options: CanaryOptions) => done(await list(options, terminal)),
  )
  withAdmin(canary.command('show').description('one, with its history').argument('<name>')).action(
    async (name: string, options: CanaryOptions) => done(await show(name, options, terminal)),
  )
  for (const [action, text] of Object.entries(ACTIONS)) {
    withAdmin(canary.command(action).description(text).argument('<name>'))
      .option('--reason <text>', 'for the history')
      .action(async (name: string, options: ActOptions) =>
        done(await act(name, { action }, options, terminal)),
      )
  }
  withAdmin(canary.command('set').description('set the share, and stay there'))
    .argument('<name>')
    .argument('<percent>', '0 to 100, two decimals')
    .option('--force', 'also beyond the next step')
    .option('--reason <text>', 'for the history')
    .action(async (name: string, percent: string, options: ActOptions) => {
      const value = Number(percent.replace(/%$/, ''))
      if (percent === '' || Number.isNaN(value))
        throw new GatewayError('GW_CLI_MISUSE', `"${percent}" is no percentage`)
      done(await act(name, { action: 'set', percent: value }, options, terminal))
    })
}
