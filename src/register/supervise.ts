import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { errorText } from '../core/errors.ts'
import { askHealth } from './health.ts'
import { tcpProbe } from './probe.ts'
import { type RegisterOptions, type Registration, register } from './register.ts'

/** A command that becomes a registered instance. */
export interface SuperviseOptions {
  readonly command: string
  readonly args: readonly string[]
  /** Where the command listens, seen from here. */
  readonly host: string
  readonly port: number
  /** What ends the command gently. Default SIGTERM. */
  readonly stopSignal: NodeJS.Signals
  /** Of all processes that the command started, not of itself alone: for wrappers that pass no signal on. */
  readonly isGroupStopped: boolean
  /** For the registration; without `server`, `signals` and `exit`. */
  readonly registration: RegisterOptions
  readonly log: (text: string) => void
}

/** Between looks at a port that is not open yet. ms. */
const LOOK_MS = 100
/** A look that takes longer is a no. ms. */
const LOOK_LIMIT_MS = 1000
/** Signals that are the command's own business. */
const PASSED_ON: readonly NodeJS.Signals[] = [
  'SIGHUP',
  'SIGUSR1',
  'SIGUSR2',
  'SIGQUIT',
  'SIGWINCH',
  'SIGCONT',
]

/**
 * Starts the command, registers it once its port is open, and on SIGTERM or SIGINT drains it: mark, wait, end the command,
 * deregister. Resolves to the exit code: 0 after a drain, 137 when the command had to be killed, else the command's own.
 */
export async function supervise(options: SuperviseOptions): Promise<number> {
  const { command, args, log } = options
  // A group of its own: Ctrl-C reaches us alone, and we can end whatever the command has started.
  const child = spawn(command, args, { stdio: 'inherit', detached: true })
  const exited = exitCode(child, command, log)
  const asked = new AbortController()
  const ask = (signal: NodeJS.Signals) => {
    // Whoever asks twice means now.
    if (asked.signal.aborted) killGroup(child, 'SIGKILL')
    asked.abort(signal)
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, ask)
  for (const signal of PASSED_ON) process.on(signal, () => child.kill(signal))

  let registration: Registration | undefined
  void whenOpen(options, asked.signal, child).then((isOpen) => {
    if (isOpen) registration = register(registrationOf(options, child, exited))
  })
  const why = await Promise.race([exited, once(asked.signal, 'abort')])
  if (typeof why === 'number') {
    log(`${command} ended with ${why}`)
    await registration?.leave('its process ended')
    return why
  }
  const reason = String(asked.signal.reason)
  if (registration === undefined) stop(options, child)
  await Promise.race([
    registration?.drain(reason) ?? pause(budgetOf(options), undefined, { ref: false }),
    exited,
  ])
  // It ended while the drain was on: the rest of the drain is the goodbye.
  await registration?.drain(reason)
  if (child.exitCode !== null || child.signalCode !== null) return 0
  log(`${command} did not end in time: killing it`)
  killGroup(child, 'SIGKILL')
  await exited
  return 128 + constants.signals.SIGKILL
}

function budgetOf({ registration }: SuperviseOptions): number {
  return typeof registration.budget === 'number' ? registration.budget : 8000
}

function registrationOf(
  options: SuperviseOptions,
  child: ChildProcess,
  exited: Promise<number>,
): RegisterOptions {
  return {
    ...options.registration,
    signals: [],
    exit: false,
    deregisterOnCrash: false,
    onClose: async () => {
      stop(options, child)
      await exited
    },
  }
}

/** True when the port accepts connections; false when the command ended or was asked to before. */
async function whenOpen(
  { host, port }: SuperviseOptions,
  asked: AbortSignal,
  child: ChildProcess,
): Promise<boolean> {
  const probe = tcpProbe(host, port)
  while (!asked.aborted && child.exitCode === null && child.signalCode === null) {
    if ((await askHealth(probe, LOOK_LIMIT_MS)).state === 'passing') return !asked.aborted
    await pause(LOOK_MS, undefined, { signal: asked }).catch(() => {})
  }
  return false
}

function stop({ stopSignal, isGroupStopped }: SuperviseOptions, child: ChildProcess): void {
  if (isGroupStopped) killGroup(child, stopSignal)
  else child.kill(stopSignal)
}

function killGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal)
  } catch {
    // Nobody is left.
  }
}

/** As a shell has it: 128 and the signal's number for one that was killed, 127 for one that cannot be started. */
async function exitCode(child: ChildProcess, command: string, log: (text: string) => void): Promise<number> {
  try {
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
    return code ?? 128 + constants.signals[signal ?? 'SIGKILL']
  } catch (thrown) {
    log(`${command} cannot be started: ${errorText(thrown)}`)
    return 127
  }
}
