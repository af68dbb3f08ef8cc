import { sleep } from '../core/duration.ts'
import { GatewayError } from '../core/errors.ts'
import { nextMoves, rollStrategy } from './capacity.ts'
import type { CommandText } from './plan.ts'
import { freePort, ManagedProcess } from './processes.ts'
import type { Roll, RollContext } from './roll.ts'
import { ServiceWatch } from './watch.ts'

interface Managed {
  readonly process: ManagedProcess
  readonly port: number
  readonly startedAt: number
  isReady: boolean
  isTold: boolean
}

const TICK_MS = 20

/** Runs the instances of a service itself and rolls them as Marathon does (`upgradeStrategy`). */
export class InstanceRoll implements Roll {
  readonly #context: RollContext
  readonly #service: string
  readonly #command: CommandText
  readonly #watch: ServiceWatch
  readonly #all: Managed[] = []
  #current: Managed[] = []

  constructor(context: RollContext, service: string, command: CommandText) {
    this.#context = context
    this.#service = service
    this.#command = command
    this.#watch = new ServiceWatch(context.clients, service, context.timeline)
  }

  async prepare(): Promise<string> {
    const { plan, signal, status } = this.#context
    await this.#watch.start()
    status(`starting ${plan.roll.instances} instances of ${this.#service}`)
    for (let i = 0; i < plan.roll.instances; i++) this.#current.push(await this.#start(0))
    while (!this.#current.every((one) => this.#checkReady(one))) {
      if (signal.aborted) throw new GatewayError('GW_ROLL_FAILED', 'interrupted')
      await sleep(TICK_MS, signal)
    }
    return plan.target ?? ''
  }

  async #start(round: number): Promise<Managed> {
    const { plan, folder, timeline } = this.#context
    const { versions, env } = plan.roll
    const version = versions[round % versions.length] ?? ''
    const port = await freePort()
    const n = this.#all.length + 1
    const managed: Managed = {
      process: new ManagedProcess({
        name: `${this.#service}#${n}`,
        command: this.#command,
        words: { port, n, version },
        env,
        folder,
        timeline,
        address: `127.0.0.1:${port}`,
        version,
      }),
      port,
      startedAt: performance.now(),
      isReady: false,
      isTold: false,
    }
    this.#all.push(managed)
    return managed
  }

  #checkReady(one: Managed): boolean {
    if (one.isReady) return true
    const { name, isRunning, output } = one.process
    if (!isRunning) {
      throw new GatewayError('GW_ROLL_FAILED', `${name} ended before it was in rotation: ${output}`)
    }
    const { readyTimeout } = this.#context.plan.roll
    if (performance.now() - one.startedAt > readyTimeout) {
      const why = output === '' ? '' : `; it wrote: ${output}`
      throw new GatewayError('GW_ROLL_FAILED', `${name} was not in rotation after ${readyTimeout} ms${why}`)
    }
    one.isReady = this.#watch.hasPort(one.port)
    return one.isReady
  }

  async run(): Promise<void> {
    const { rounds } = this.#context.plan.roll
    for (let round = 1; round <= rounds; round++) await this.#round(round)
  }

  async #round(round: number): Promise<void> {
    const { plan, signal, status } = this.#context
    const { roll } = plan
    const old = this.#current
    const fresh: Managed[] = []
    const strategy = rollStrategy({ ...roll, running: old.length })
    const stopping: Promise<void>[] = []
    let resumeAt = 0
    for (;;) {
      if (signal.aborted) throw new GatewayError('GW_ROLL_FAILED', 'interrupted')
      const newReady = fresh.filter((one) => this.#checkReady(one)).length
      const oldAlive = old.filter(({ process }) => process.isRunning).length
      const left = old.filter((one) => !one.isTold && one.process.isRunning)
      status(
        `round ${round}/${roll.rounds}: ${newReady} of ${roll.instances} new ready, ${oldAlive} old left`,
      )
      if (newReady === roll.instances && oldAlive === 0) break
      const moves = nextMoves(strategy, {
        instances: roll.instances,
        oldAlive,
        oldLeft: left.length,
        stopped: old.length - left.length,
        newStarted: fresh.length,
        newReady,
      })
      const isPaused = performance.now() < resumeAt
      for (let i = 0; i < moves.start && !isPaused; i++) fresh.push(await this.#start(round))
      for (const one of left.slice(0, moves.stop)) {
        one.isTold = true
        stopping.push(
          one.process.stop(roll.signal, roll.stopTimeout).then(() => {
            resumeAt = performance.now() + roll.pauseBetween
          }),
        )
      }
      await sleep(TICK_MS, signal)
    }
    await Promise.all(stopping)
    this.#current = fresh
    if (round < roll.rounds) await sleep(roll.pauseBetween, signal)
  }

  async close(): Promise<void> {
    await this.#watch.close()
    const { stopTimeout } = this.#context.plan.roll
    await Promise.all(
      this.#all.filter((one) => one.process.isRunning).map((one) => one.process.stop('SIGTERM', stopTimeout)),
    )
  }
}
