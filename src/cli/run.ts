import { ConfigError, formatProblems, type LoadedConfig, loadStatic } from '../config/load.ts'
import { ConfigLoader } from '../config-loader.ts'
import { systemClock } from '../core/duration.ts'
import type { StoredFiles } from '../core/stored-files.ts'
import { Gateway, type StartHooks, type StartReport } from '../gateway.ts'
import { StoredConfiguration } from '../stored-configuration.ts'
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

async function load(
  loader: ConfigLoader,
  options: { path: string; env: NodeJS.ProcessEnv },
  terminal: Terminal,
): Promise<{ config: LoadedConfig; stored: StoredConfiguration | undefined } | undefined> {
  const warn = (text: string) => terminal.err(`sluice: ${text}`)
  try {
    const deps = {
      clock: systemClock,
      random: Math.random,
      log: { warn: (_: object, text: string) => warn(text) },
    }
    const settings = await loadStatic(options)
    const stored = settings === undefined ? undefined : StoredConfiguration.of(settings, deps)
    const first = (files?: StoredFiles) => loader.loadFirst(files)
    const loaded = await (stored === undefined ? first() : stored.loadFirst(first, warn))
    if (loaded.warnings.length > 0)
      terminal.err(formatProblems(loaded.warnings, { color: terminal.hasColor }))
    return { config: loaded, stored }
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
  const env =
    options.address === undefined ? terminal.env : { ...terminal.env, SLUICE_ADMIN_ADDRESS: options.address }
  const loader = new ConfigLoader({
    path: options.config,
    env,
    log: { warn: (_fields, text) => terminal.err(`sluice: ${text}`) },
  })
  const first = await load(loader, { path: options.config, env }, terminal)
  if (first === undefined) {
    await loader.close()
    return 1
  }
  const gateway = new Gateway({
    version: packageVersion(),
    ...first,
    loader,
    role: options.role ?? 'gateway',
  })
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
