import { EventEmitter } from 'node:events'
import { systemClock } from '../core/duration.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import { sayGoodbye } from './crash.ts'
import { type DrainReport, depart, describeDrain, emptyReport, type Leaving, runHook } from './departure.ts'
import type { HealthFunction } from './health.ts'
import { Lease, type LeaseEvent, type LeaseState } from './lease.ts'
import { type BoundAddress, findAddress } from './place.ts'
import { type ServedBy, ServerDrain } from './server-drain.ts'
import {
  durationMs,
  givenAddress,
  givenPort,
  type RegistrarOptions,
  registryTarget,
  resolveSettings,
  type Settings,
  serviceName,
  targetUrl,
} from './settings.ts'

/** Where lines go; pino, console and Fastify's `app.log` fit. */
export interface RegisterLog {
  info(text: string): void
  warn(text: string): void
}

/** Options of `register`. */
export interface RegisterOptions extends RegistrarOptions {
  /** It is registered when this listens, and drained with it. Without one give `address` and `port`. */
  readonly server?: ServedBy | undefined
  /** Asked with each beat. Default: passing as long as the event loop turns. */
  readonly health?: HealthFunction | undefined
  /** For one answer of `health`; longer = critical. Default 2s. */
  readonly healthTimeout?: string | number | undefined
  /** Going on serving after the instance was marked as draining. Default 3s. `SLUICE_REGISTER_PROPAGATION`. */
  readonly propagation?: string | number | undefined
  /** From the signal to the exit, at the most. Default 8s: `docker stop` kills after 10. `SLUICE_REGISTER_BUDGET`. */
  readonly budget?: string | number | undefined
  /** Which signals drain. Default SIGTERM and SIGINT; `[]`: call `drain` yourself. */
  readonly signals?: readonly NodeJS.Signals[] | undefined
  /** End the process after a drain that a signal began, with code 0. Default true. */
  readonly exit?: boolean | undefined
  /** Take the instance out when an exception that nobody catches ends the process. Default true. */
  readonly deregisterOnCrash?: boolean | undefined
  /** When draining begins, while requests are still served: close WebSockets in your own time, stop consumers. */
  readonly onDrain?: ((reason: string) => unknown) | undefined
  /** When the server stops accepting: `() => app.close()`. */
  readonly onClose?: (() => unknown) | undefined
  /** False: register nowhere (tests, a developer's machine), but drain all the same. `SLUICE_REGISTER_ENABLED=false`. */
  readonly enabled?: boolean | undefined
  /** Default: a line on standard error for what an operator should see. False: none. */
  readonly log?: RegisterLog | false | undefined
}

/** Events of a registration, with what their listeners get. */
export interface RegistrationEvents {
  state: [{ readonly from: LeaseState; readonly to: LeaseState; readonly reason: string }]
  registered: [{ readonly id: string; readonly agent: string }]
  lost: [{ readonly reason: string }]
  problem: [{ readonly code: string; readonly message: string }]
  draining: [{ readonly reason: string }]
  drained: [DrainReport]
}

const DEFAULT_LOG: RegisterLog = {
  info: (text) => process.stderr.write(`register: ${text}\n`),
  warn: (text) => process.stderr.write(`register: ${text}\n`),
}

/**
 * Registers this process as an instance of a service with the local Consul agent (or a gateway's embedded registry, or
 * etcd) and drains it on SIGTERM. Returns at once; a registry that cannot be reached neither blocks nor ends the process.
 * Throws GW_REGISTER_OPTIONS for options that can never work.
 *
 * ```ts
 * const server = createServer(handler).listen(3000)
 * register({ service: 'catalog', version: '1.4.0', server })
 * ```
 */
export function register(options: RegisterOptions): Registration {
  return new Registration(options)
}

/** One instance's life in the registry. */
export class Registration extends EventEmitter<RegistrationEvents> {
  readonly #options: RegisterOptions
  readonly #log: RegisterLog | undefined
  readonly #isEnabled: boolean
  readonly #times: { readonly propagationMs: number; readonly budgetMs: number }
  readonly #server: ServerDrain | undefined
  readonly #onSignal = (signal: NodeJS.Signals) => void this.#signalled(signal)
  readonly #onCrash = () => this.#crashed()
  #settings: Settings | undefined
  #lease: Lease | undefined
  #draining: Promise<DrainReport> | undefined

  constructor(options: RegisterOptions) {
    super()
    this.#options = options
    this.#log = options.log === false ? undefined : (options.log ?? DEFAULT_LOG)
    const { env } = process
    this.#isEnabled = options.enabled ?? env['SLUICE_REGISTER_ENABLED'] !== 'false'
    this.#times = {
      propagationMs: durationMs(
        'propagation',
        options.propagation ?? env['SLUICE_REGISTER_PROPAGATION'] ?? '3s',
      ),
      budgetMs: durationMs('budget', options.budget ?? env['SLUICE_REGISTER_BUDGET'] ?? '8s'),
    }
    const { server } = options
    this.#server = server === undefined ? undefined : new ServerDrain(server)
    this.#checkEarly()
    for (const signal of options.signals ?? (['SIGTERM', 'SIGINT'] as const)) {
      process.on(signal, this.#onSignal)
    }
    if (options.deregisterOnCrash !== false) process.on('uncaughtExceptionMonitor', this.#onCrash)
    if (server === undefined || server.listening) void this.#settle()
    else server.once('listening', () => void this.#settle())
  }

  /** Undefined until the server listens. */
  get id(): string | undefined {
    return this.#settings?.id
  }

  /** `unregistered` until the agent answered. */
  get state(): LeaseState {
    return this.#lease?.state ?? (this.#draining === undefined ? 'unregistered' : 'draining')
  }

  /** True from the beginning of the drain on: what a readiness endpoint should answer 503 for. */
  get isDraining(): boolean {
    return this.#draining !== undefined
  }

  /** Drains without ending the process. The second call gets the same promise. Never rejects. */
  drain(reason = ''): Promise<DrainReport> {
    this.#draining ??= this.#drain(reason)
    return this.#draining
  }

  /** Takes the instance out at once, without a drain: whatever served it is gone. Never rejects. */
  async leave(reason = ''): Promise<void> {
    this.#draining ??= Promise.resolve(emptyReport(reason))
    await this.#lease?.release()
  }

  /** What does not depend on where the server will listen is told where the mistake was made. */
  #checkEarly(): void {
    const { server, address = '' } = this.#options
    const { env } = process
    const port = givenPort(this.#options, env)
    if (server === undefined && port === undefined) {
      throw new GatewayError('GW_REGISTER_OPTIONS', 'port: is missing: give the server, or a port')
    }
    // Also names a missing service and an agent address that is none.
    resolveSettings(this.#options, env, { address, port: port ?? 1 })
  }

  /** Where the server listens is known now. */
  async #settle(): Promise<void> {
    if (!this.#isEnabled || this.#draining !== undefined) return
    const { server, health, healthTimeout } = this.#options
    const { env } = process
    try {
      const bound = server?.address() as BoundAddress | string | null | undefined
      const place = typeof bound === 'object' && bound !== null ? bound : undefined
      const port = givenPort(this.#options, env) ?? place?.port
      if (port === undefined) {
        throw new GatewayError('GW_REGISTER_OPTIONS', 'port: the server listens on none; give a port')
      }
      const url = targetUrl(registryTarget(this.#options, env))
      const address = await findAddress(givenAddress(this.#options, env), place, url)
      if (this.#draining !== undefined) return
      this.#settings = resolveSettings(this.#options, env, { address, port })
      this.#lease = new Lease(this.#settings, {
        clock: systemClock,
        random: Math.random,
        health,
        healthTimeoutMs: durationMs('healthTimeout', healthTimeout ?? '2s'),
        onEvent: (event) => this.#relay(event),
      })
      this.#lease.start()
    } catch (thrown) {
      const code = thrown instanceof GatewayError ? thrown.code : 'GW_INTERNAL_STATE'
      this.#relay({ type: 'problem', code, message: `not registered: ${errorText(thrown)}` })
    }
  }

  #relay(event: LeaseEvent): void {
    const { service } = this.#options
    const name = this.#settings?.id ?? service ?? 'instance'
    switch (event.type) {
      case 'registered':
        this.#log?.info(`${name} is registered with ${event.agent}`)
        this.emit('registered', { id: event.id, agent: event.agent })
        break
      case 'lost':
        this.#log?.warn(`the registry does not know ${name} any more: registering again`)
        this.emit('lost', { reason: event.reason })
        break
      case 'problem':
        this.#log?.warn(`${name}: ${event.code}: ${event.message}`)
        this.emit('problem', { code: event.code, message: event.message })
        break
      case 'state':
        if (event.to === 'warning' || event.to === 'critical') {
          this.#log?.warn(`${name} is ${event.to}: ${event.reason}`)
        }
        this.emit('state', { from: event.from, to: event.to, reason: event.reason })
        break
    }
  }

  async #drain(reason: string): Promise<DrainReport> {
    const { onDrain, onClose } = this.#options
    const onFailed = (message: string) => this.#relay({ type: 'problem', code: 'GW_REGISTER_HOOK', message })
    const name = this.#settings?.id ?? serviceName(this.#options, process.env)
    this.#log?.info(`${name} is draining${reason === '' ? '' : ` (${reason})`}`)
    this.emit('draining', { reason })
    if (onDrain !== undefined) void runHook('onDrain', () => onDrain(reason), onFailed)
    const leaving: Leaving = {
      mark: async (why) => (await this.#lease?.drain(why)) ?? true,
      askToLeave: () => this.#server?.begin(),
      close: async () => {
        const hook = onClose === undefined ? undefined : runHook('onClose', onClose, onFailed)
        await Promise.all([this.#server?.close(), hook])
      },
      cutOff: () => this.#server?.destroy() ?? 0,
      release: async (limitMs) => (await this.#lease?.release(limitMs)) ?? true,
    }
    const report = await depart(reason, leaving, this.#times, systemClock)
    this.#log?.info(`${name} is drained: ${describeDrain(report)}`)
    process.off('uncaughtExceptionMonitor', this.#onCrash)
    this.emit('drained', report)
    return report
  }

  async #signalled(signal: NodeJS.Signals): Promise<void> {
    const canExit = this.#options.exit !== false
    // Whoever asks twice means now.
    if (this.#draining !== undefined && canExit) process.exit(1)
    await this.drain(signal)
    if (canExit) process.exit(0)
  }

  #crashed(): void {
    const isHandled = process.listenerCount('uncaughtException') > 0
    if (this.#settings === undefined || isHandled) return
    sayGoodbye(this.#settings)
  }
}
