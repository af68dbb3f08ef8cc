import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { sleep } from '../core/duration.ts'
import { GatewayError } from '../core/errors.ts'

const LOOK_MS = 200
const LOOK_TIMEOUT_MS = 1000

/** One gateway behind the balancer. */
export interface Balanced {
  readonly name: string
  readonly host: string
  readonly port: number
  /** Whether it wants new connections. Never rejects. */
  isReady(timeoutMs: number): Promise<boolean>
}

/** What the balancer tells. Times: ms since the epoch. */
export interface BalancerListener {
  onReady(name: string, isReady: boolean, at: number): void
  /** The last connection to a gateway that is not ready has closed. */
  onEmpty(name: string, lastAcceptAt: number | undefined, at: number): void
}

interface Member {
  readonly spec: Balanced
  readonly sockets: Set<Socket>
  isReady: boolean
  lastAcceptAt: number | undefined
}

/**
 * A small TCP balancer as it stands in front of gateways: each new connection goes to the next gateway whose
 * readiness probe (every 200 ms) was good, and to another one when that refuses. It looks into no byte.
 */
export class Balancer {
  readonly #members: readonly Member[]
  readonly #listener: BalancerListener
  readonly #server: Server
  readonly #abort = new AbortController()
  readonly #clients = new Set<Socket>()
  #next = 0
  #looking: Promise<unknown> = Promise.resolve()

  constructor(gateways: readonly Balanced[], listener: BalancerListener) {
    this.#members = gateways.map((spec) => ({
      spec,
      sockets: new Set<Socket>(),
      isReady: false,
      lastAcceptAt: undefined,
    }))
    this.#listener = listener
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (client) =>
      this.#accept(client),
    )
  }

  /** Listens on a free port of 127.0.0.1; resolves to its URL. Throws GW_LISTEN_FAILED. */
  async start(): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening').catch((cause) => {
      throw new GatewayError('GW_LISTEN_FAILED', 'the balancer cannot listen', { cause })
    })
    this.#looking = Promise.all(this.#members.map((member) => this.#look(member)))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async #look(member: Member): Promise<void> {
    const { signal } = this.#abort
    while (!signal.aborted) {
      const isReady = await member.spec.isReady(LOOK_TIMEOUT_MS)
      if (isReady !== member.isReady && !signal.aborted) {
        member.isReady = isReady
        this.#listener.onReady(member.spec.name, isReady, Date.now())
        this.#checkEmpty(member)
      }
      await sleep(LOOK_MS, signal)
    }
  }

  #checkEmpty(member: Member): void {
    if (member.isReady || member.sockets.size > 0) return
    this.#listener.onEmpty(member.spec.name, member.lastAcceptAt, Date.now())
  }

  isReady(name: string): boolean {
    return this.#members.some(({ spec, isReady }) => spec.name === name && isReady)
  }

  #accept(client: Socket): void {
    this.#clients.add(client)
    client.on('close', () => this.#clients.delete(client)).on('error', () => {})
    const ready = this.#members.filter(({ isReady }) => isReady)
    const order = ready.map((_, i) => ready[(this.#next + i) % ready.length] as Member)
    this.#next++
    this.#connect(client, order)
  }

  #connect(client: Socket, [member, ...others]: readonly Member[]): void {
    if (member === undefined || client.destroyed) return void client.resetAndDestroy()
    const upstream = connect({
      host: member.spec.host,
      port: member.spec.port,
      allowHalfOpen: true,
      noDelay: true,
    })
    const onRefused = () => this.#connect(client, others)
    upstream.once('error', onRefused)
    upstream.once('connect', () => {
      upstream.off('error', onRefused)
      this.#join(client, upstream, member)
    })
  }

  #join(client: Socket, upstream: Socket, member: Member): void {
    member.sockets.add(upstream)
    member.lastAcceptAt = Date.now()
    // A reset stays a reset, an end an end, in both directions.
    upstream.on('error', () => client.resetAndDestroy())
    client.on('error', () => upstream.resetAndDestroy())
    upstream.on('close', () => {
      member.sockets.delete(upstream)
      this.#checkEmpty(member)
      if (!client.destroyed && !client.writableEnded) client.destroy()
    })
    client.on('close', () => {
      if (!upstream.destroyed) upstream.destroy()
    })
    client.pipe(upstream)
    upstream.pipe(client)
  }

  async close(): Promise<void> {
    this.#abort.abort()
    for (const client of this.#clients) client.destroy()
    await Promise.all([new Promise((resolve) => this.#server.close(resolve)), this.#looking])
  }
}
