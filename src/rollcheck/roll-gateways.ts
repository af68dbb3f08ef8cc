import { sleep } from '../core/duration.ts'
import { GatewayError } from '../core/errors.ts'
import { AdminClient } from './admin-client.ts'
import { Balancer } from './balancer.ts'
import type { RollSpec } from './plan.ts'
import { ManagedProcess } from './processes.ts'
import type { Roll, RollContext } from './roll.ts'

type GatewaySpec = NonNullable<RollSpec['gateways']>[number]

interface Member {
  readonly spec: GatewaySpec
  /** For the balancer: stays the same over restarts. */
  readonly place: string
  readonly client: AdminClient
  process: ManagedProcess | undefined
}

const TICK_MS = 20

/** Runs gateways behind a small balancer of its own and restarts one after another. */
export class GatewayRoll implements Roll {
  readonly #context: RollContext
  readonly #members: readonly Member[]
  readonly #balancer: Balancer
  #started = 0

  constructor(context: RollContext, gateways: readonly GatewaySpec[]) {
    this.#context = context
    this.#members = gateways.map((spec, i) => ({
      spec,
      place: `gateway ${i + 1}`,
      client: new AdminClient(spec.admin, context.plan.token),
      process: undefined,
    }))
    const { timeline } = context
    const nameAt = (place: string) => this.#members.find((one) => one.place === place)?.process?.name ?? place
    this.#balancer = new Balancer(
      this.#members.map(({ spec, place, client }) => ({
        name: place,
        host: new URL(spec.url).hostname.replace(/^\[|\]$/g, ''),
        port: Number(new URL(spec.url).port || 80),
        isReady: (timeoutMs: number) => client.isReady(timeoutMs),
      })),
      {
        onReady: (place, isReady, at) =>
          timeline.note(nameAt(place), isReady ? 'in rotation' : 'out of rotation', at),
        onEmpty: (place, lastAcceptAt, at) => {
          if (lastAcceptAt === undefined) return
          timeline.note(nameAt(place), 'last accept', lastAcceptAt)
          timeline.note(nameAt(place), 'sockets closed', at)
        },
      },
    )
  }

  async prepare(): Promise<string> {
    this.#context.status(`starting ${this.#members.length} gateways`)
    const url = await this.#balancer.start()
    for (const member of this.#members) this.#start(member)
    for (const member of this.#members) await this.#untilReady(member)
    return url
  }

  #start(member: Member): void {
    const { folder, plan, timeline } = this.#context
    const n = ++this.#started
    member.process = new ManagedProcess({
      name: `gateway#${n}`,
      command: member.spec.start,
      words: { n, port: new URL(member.spec.url).port },
      env: plan.roll.env,
      folder,
      timeline,
      address: new URL(member.spec.url).host,
    })
  }

  async #untilReady({ place, process }: Member): Promise<void> {
    const { plan, signal } = this.#context
    const deadline = performance.now() + plan.roll.readyTimeout
    while (!this.#balancer.isReady(place)) {
      if (signal.aborted) throw new GatewayError('GW_ROLL_FAILED', 'interrupted')
      if (process?.isRunning !== true || performance.now() > deadline) {
        throw new GatewayError('GW_ROLL_FAILED', `${process?.name} did not get ready: ${process?.output}`)
      }
      await sleep(TICK_MS, signal)
    }
  }

  async run(): Promise<void> {
    const { plan, signal, status } = this.#context
    const { rounds, stopTimeout, pauseBetween } = plan.roll
    for (let round = 1; round <= rounds; round++) {
      for (const member of this.#members) {
        if (signal.aborted) throw new GatewayError('GW_ROLL_FAILED', 'interrupted')
        status(`round ${round}/${rounds}: restarting ${member.process?.name}`)
        await member.process?.stop(plan.roll.signal, stopTimeout)
        this.#start(member)
        await this.#untilReady(member)
        await sleep(pauseBetween, signal)
      }
    }
  }

  async close(): Promise<void> {
    await this.#balancer.close()
    await Promise.all(
      this.#members.map((one) => one.process?.stop('SIGTERM', this.#context.plan.roll.stopTimeout)),
    )
    await Promise.all(this.#members.map((one) => one.client.close()))
  }
}
