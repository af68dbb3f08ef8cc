import { ConfigError, formatProblems, type LoadedConfig } from '../config/load.ts'
import { ConfigLoader } from '../config-loader.ts'
import { Gateway, type StartHooks, type StartReport } from '../gateway.ts'
import { type ExitCode, packageVersion, type Terminal } from './terminal.ts'

export interface RunHooks extends StartHooks {
  /** Lines after the start-up report. */
  hint?(gateway: Gateway): readonly string[]
}

function banner(report: StartReport): string {
  const registries = report.registries.map(({ name, type, state }) => `${name} (${type}, ${state})`)
  const counts =
    `${report.routes} routes, ${report.services} services, ` + `${report.instances} instances in rotation`
  const lines = [
    `sluice ${packageVersion()} is ${report.public.length === 0 ? 'watching (monitor: no clients are served)' : 'running'}`,
    ...(report.public.length === 0 ? [] : [`  clients   ${report.public.join('  ')}`]),
    `  admin     ${report.admin}`,
    `  registry  ${registries.join(', ') || 'none'}`,
    `  table     ${counts}`,
    ...report.warnings.map((warning) => `  warning   ${warning}`),
  ]
  return lines.join('\n')
}

async function load(loader: ConfigLoader, terminal: Terminal): Promise<LoadedConfig | undefined> {
  try {
    const loaded = await loader.loadFirst()
    if (loaded.warnings.length > 0)
      terminal.err(formatProblems(loaded.warnings, { color: terminal.hasColor }))
    return loaded
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown
    terminal.err(formatProblems(thrown.problems, { color: terminal.hasColor }))
    return undefined
  }
}

/**
 * Resolves with the first SIGTERM or SIGINT, or with `failed` when something threw where nothing should: then nobody
 * knows what still holds, so the gateway finishes what it has and leaves. SIGHUP reads the configuration again.
 */
function untilTheEnd(gateway: Gateway): Promise<'asked' | 'failed'> {
  process.on('SIGHUP', () => void gateway.reload())
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve('asked'))
    process.on('uncaughtException', (error) => {
      gateway.noteDefect(error)
      resolve('failed')
    })
  })
}

/** Whoever asks twice means now. */
function stopAtOnceOnNext(gateway: Gateway): void {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      gateway.flush()
      process.exit(1)
    })
  }
}

/**
 * `sluice run`: until SIGTERM or SIGINT, then drains. 0 after a drain, 1 when the configuration is not valid or a
 * defect ended it; throws GW_LISTEN_FAILED, GW_CONFIG_UNREADABLE.
 */
export async function run(
  options: { config: string; json?: true; role?: 'gateway' | 'monitor'; address?: string },
  terminal: Terminal,
  hooks: RunHooks = {},
): Promise<ExitCode> {
  const loader = new ConfigLoader({
    path: options.config,
    env:
      options.address === undefined
        ? terminal.env
        : { ...terminal.env, SLUICE_ADMIN_ADDRESS: options.address },
    log: { warn: (_fields, text) => terminal.err(`sluice: ${text}`) },
  })
  const config = await load(loader, terminal)
  if (config === undefined) {
    await loader.close()
    return 1
  }
  const gateway = new Gateway({ version: packageVersion(), config, loader, role: options.role ?? 'gateway' })
  const end = untilTheEnd(gateway)
  try {
    const report = await gateway.start(hooks)
    if (options.json === true) {
      terminal.out(JSON.stringify({ msg: 'started', version: packageVersion(), ...report }))
    } else {
      terminal.out([banner(report), ...(hooks.hint?.(gateway) ?? []).map((line) => `  ${line}`)].join('\n'))
    }
  } catch (thrown) {
    await gateway.abandon()
    throw thrown
  }
  const why = await end
  stopAtOnceOnNext(gateway)
  await gateway.drain()
  return why === 'asked' ? 0 : 1
}
