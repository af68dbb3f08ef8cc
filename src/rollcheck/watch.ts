import { sleep } from '../core/duration.ts'
import { GatewayError } from '../core/errors.ts'
import type { InstanceView, ServiceView } from '../core/views.ts'
import type { AdminClient, AdminEvent } from './admin-client.ts'
import type { Sighting, Step, Timeline } from './timeline.ts'

const POLL_MS = 100

/** The steps that one `instance` event of a gateway tells. Pure; unknown kinds tell nothing. */
export function stepsOfEvent(
  data: AdminEvent['data'],
): { sighting: Sighting; steps: { step: Step; at: number }[] } | undefined {
  const { kind, id, address, version, to, lastRequestAt, at } = data
  if (typeof id !== 'string' || typeof address !== 'string' || typeof at !== 'number') return undefined
  const sighting = { id, address, ...(typeof version === 'string' ? { version } : {}) }
  const steps: { step: Step; at: number }[] = []
  const isServing = to === undefined || to === 'passing' || to === 'warning' || to === 'unknown'
  if (kind === 'appeared' && isServing) steps.push({ step: 'in rotation', at })
  if (kind === 'changed') {
    if (to === 'draining' || to === 'maintenance') steps.push({ step: 'drain mark', at })
    steps.push({ step: isServing ? 'in rotation' : 'out of rotation', at })
  }
  if (kind === 'idle') steps.push({ step: 'idle', at })
  if ((kind === 'idle' || kind === 'closed') && typeof lastRequestAt === 'number' && lastRequestAt > 0) {
    steps.push({ step: 'last accept', at: lastRequestAt })
  }
  if (kind === 'closed') steps.push({ step: 'sockets closed', at })
  if (kind === 'left') steps.push({ step: 'out of rotation', at }, { step: 'gone', at })
  return { sighting, steps }
}

/** Follows one service through all gateways: by their events, and by asking every 100 ms for what they do not tell. */
export class ServiceWatch {
  readonly #clients: readonly AdminClient[]
  readonly #service: string
  readonly #timeline: Timeline
  readonly #abort = new AbortController()
  readonly #views = new Map<AdminClient, ServiceView | undefined>()
  /** The last view by gateway and instance key. */
  readonly #seen = new Map<string, InstanceView>()
  /** Gateways that send instance events. */
  readonly #told = new Set<AdminClient>()
  #running: Promise<unknown> = Promise.resolve()

  constructor(clients: readonly AdminClient[], service: string, timeline: Timeline) {
    this.#clients = clients
    this.#service = service
    this.#timeline = timeline
  }

  /** Throws GW_ADMIN_UNREACHABLE when one of the gateways does not answer. */
  async start(): Promise<void> {
    await Promise.all(this.#clients.map((client) => this.#look(client)))
    const { signal } = this.#abort
    this.#running = Promise.all(
      this.#clients.flatMap((client) => [
        client.follow(signal, (event) => this.#onEvent(client, event)),
        this.#poll(client, signal),
      ]),
    )
  }

  #onEvent(client: AdminClient, { type, data }: AdminEvent): void {
    if (type !== 'instance' || data['service'] !== this.#service) return
    const told = stepsOfEvent(data)
    if (told === undefined) return
    this.#told.add(client)
    for (const { step, at } of told.steps) this.#timeline.see(told.sighting, step, at)
  }

  async #poll(client: AdminClient, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(POLL_MS, signal)
      if (!signal.aborted) await this.#look(client).catch(() => {})
    }
  }

  async #look(client: AdminClient): Promise<void> {
    const service = await client.service(this.#service)
    this.#views.set(client, service)
    const at = Date.now()
    // Gateways with instance events tell all but the readiness to the millisecond.
    const isTold = this.#told.has(client)
    const present = new Set<string>()
    for (const view of service?.instances ?? []) {
      const key = `${client.url} ${view.key}`
      present.add(key)
      const before = this.#seen.get(key)
      this.#seen.set(key, view)
      if (view.use === 'rotation' && before?.use !== 'rotation') this.#timeline.see(view, 'in rotation', at)
      if (isTold) continue
      if (view.state === 'draining' && before?.state !== 'draining')
        this.#timeline.see(view, 'drain mark', at)
      if (before?.use === 'rotation' && view.use !== 'rotation')
        this.#timeline.see(view, 'out of rotation', at)
    }
    for (const [key, view] of this.#seen) {
      if (present.has(key) || !key.startsWith(`${client.url} `)) continue
      this.#seen.delete(key)
      if (isTold) continue
      if (view.use === 'rotation') this.#timeline.see(view, 'out of rotation', at)
      this.#timeline.see(view, 'gone', at)
    }
  }

  /** Instances that every gateway has in rotation. */
  inRotation(): readonly InstanceView[] {
    const [first, ...others] = this.#clients.map((client) =>
      (this.#views.get(client)?.instances ?? []).filter(({ use }) => use === 'rotation'),
    )
    return (first ?? []).filter(({ key }) => others.every((list) => list.some((one) => one.key === key)))
  }

  /** Whether every gateway has an instance with this port in rotation. */
  hasPort(port: number): boolean {
    return this.inRotation().some(({ address }) => address.endsWith(`:${port}`))
  }

  /** Asks until the check holds. Throws GW_ROLL_FAILED after `timeoutMs`, and when the signal aborts. */
  async until(
    check: () => boolean,
    options: { timeoutMs: number; what: string; signal: AbortSignal },
  ): Promise<void> {
    const deadline = performance.now() + options.timeoutMs
    while (!check()) {
      if (options.signal.aborted) throw new GatewayError('GW_ROLL_FAILED', 'interrupted')
      if (performance.now() > deadline) {
        throw new GatewayError('GW_ROLL_FAILED', `waited ${options.timeoutMs} ms in vain for ${options.what}`)
      }
      await sleep(20, options.signal)
    }
  }

  async close(): Promise<void> {
    this.#abort.abort()
    await this.#running
  }
}
