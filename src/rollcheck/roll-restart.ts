import { sleep } from '../core/duration.ts'
import { GatewayError } from '../core/errors.ts'
import type { InstanceView } from '../core/views.ts'
import type { CommandWords } from './commands.ts'
import type { CommandText } from './plan.ts'
import { runCommand } from './processes.ts'
import type { Roll, RollContext } from './roll.ts'
import { ServiceWatch } from './watch.ts'

/** An instance that stays in rotation for so long after its command ended was restarted unseen. ms. */
const UNSEEN_MS = 1500

/** What may stand in a command without meaning anything to a shell inside it. */
const HARMLESS = /^[\w.:@/+-]*$/

/** The words of a restart command. Throws GW_ROLL_FAILED for an id that no command line should see. */
export function restartWords(view: Pick<InstanceView, 'id' | 'address'>, n: number): CommandWords {
  const colon = view.address.lastIndexOf(':')
  const words = {
    id: view.id,
    address: view.address.slice(0, colon).replace(/^\[|\]$/g, ''),
    port: view.address.slice(colon + 1),
    n,
  }
  for (const [name, value] of Object.entries(words)) {
    if (HARMLESS.test(String(value))) continue
    throw new GatewayError('GW_ROLL_FAILED', `the ${name} "${value}" cannot be put into a command`)
  }
  return words
}

/** Restarts the instances that are in rotation with a command each, or only watches while somebody else does. */
export class RestartRoll implements Roll {
  readonly #context: RollContext
  readonly #service: string
  readonly #command: CommandText | undefined
  readonly #watch: ServiceWatch

  constructor(context: RollContext, service: string, command: CommandText | undefined) {
    this.#context = context
    this.#service = service
    this.#command = command
    this.#watch = new ServiceWatch(context.clients, service, context.timeline)
  }

  async prepare(): Promise<string> {
    await this.#watch.start()
    if (this.#watch.inRotation().length === 0) {
      throw new GatewayError('GW_ROLL_FAILED', `no instance of "${this.#service}" is in rotation`)
    }
    return this.#context.plan.target ?? ''
  }

  async run(): Promise<void> {
    if (this.#command === undefined) return this.#context.status('watching')
    const { plan, signal } = this.#context
    for (let round = 1; round <= plan.roll.rounds; round++) {
      const all = this.#watch.inRotation()
      for (const [i, view] of all.entries()) {
        if (signal.aborted) throw new GatewayError('GW_ROLL_FAILED', 'interrupted')
        this.#context.status(
          `round ${round}/${plan.roll.rounds}: restarting ${view.id} (${i + 1}/${all.length})`,
        )
        await this.#restart(this.#command, view, i + 1, all.length)
        await sleep(plan.roll.pauseBetween, signal)
      }
    }
  }

  async #restart(command: CommandText, view: InstanceView, n: number, wanted: number): Promise<void> {
    const { plan, folder, timeline, signal } = this.#context
    const { env, stopTimeout, readyTimeout } = plan.roll
    timeline.note(timeline.nameOf(view), 'told to stop', Date.now())
    const words = restartWords(view, n)
    let wasOut = false
    const isIn = () => this.#watch.inRotation().some(({ key }) => key === view.key)
    const look = setInterval(() => {
      wasOut ||= !isIn()
    }, 20)
    try {
      await runCommand({ command, words, env, folder, timeoutMs: stopTimeout + readyTimeout })
      const ended = performance.now()
      await this.#watch.until(
        () => {
          const isReplaced = wasOut || !isIn() || performance.now() - ended > UNSEEN_MS
          return isReplaced && this.#watch.inRotation().length >= wanted
        },
        {
          timeoutMs: readyTimeout,
          signal,
          what: `${wanted} instances in rotation after the restart of ${view.id}`,
        },
      )
    } finally {
      clearInterval(look)
    }
  }

  close(): Promise<void> {
    return this.#watch.close()
  }
}
