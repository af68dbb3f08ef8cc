import { EtcdClient } from '../etcd/client.ts'
import { markKey, recordKey, servicePrefix } from '../etcd/own-keys.ts'
import { CALL_TIMEOUT_MS } from './agent.ts'
import type { HealthReport } from './health.ts'
import type { Registrar } from './registrar.ts'
import { bracketed, type EtcdTarget, OWNER, OWNER_KEY, type Settings } from './settings.ts'

/** One of several members gets no more than this of a call's time. ms. */
const MEMBER_TIMEOUT_MS = 1000
/** Somebody may delete a key whose lease lives on: it is looked for once in so many TTLs. */
const LOOK_TTLS = 4

/**
 * An instance in etcd, in the own layout: a record with a lease, which ends when its beats stop. A beat keeps the lease
 * alive and writes the record only when the state or its words are others.
 */
export class EtcdRegistrar implements Registrar {
  readonly #settings: Settings
  readonly #target: EtcdTarget
  readonly #client: EtcdClient
  readonly #record: string
  readonly #mark: string
  #lease: string | undefined
  /** What is there, as far as we know; '' = perhaps something. */
  #written: string | undefined
  #lookedAt = 0

  /** Throws GW_REGISTER_OPTIONS for PEM files that cannot be read. */
  constructor(settings: Settings, target: EtcdTarget) {
    this.#settings = settings
    this.#target = target
    this.#client = new EtcdClient(target)
    this.#record = recordKey(target.prefix, settings.service, settings.id)
    this.#mark = markKey(target.prefix, settings.service, settings.id)
  }

  get url(): string {
    return this.#client.endpoint
  }

  async register(): Promise<void> {
    const seconds = Math.ceil(this.#settings.ttlMs / 1000)
    this.#written = undefined
    this.#lease = await this.#client.grant(seconds, this.#limits())
    // A mark has the lease of the record that it was for, and a former life with our id may not be over yet.
    await this.#client.remove(this.#mark, this.#limits())
  }

  async report(report: HealthReport): Promise<string | undefined> {
    if (this.#lease === undefined) return 'it has no lease'
    await this.#look()
    const isListed = await this.#write(report)
    if (isListed && (await this.#client.keepAlive(this.#lease, this.#limits()))) return undefined
    this.#lease = undefined
    return 'its lease has ended'
  }

  async mark(reason: string): Promise<void> {
    if (this.#lease === undefined || this.#written === undefined) return
    const output = reason === '' ? 'draining' : `draining: ${reason}`
    // The drain may take longer than what is left of the lease.
    await Promise.all([
      this.#write({ state: 'draining', output }),
      this.#client.keepAlive(this.#lease, this.#limits()),
    ])
  }

  async remove(limitMs: number): Promise<void> {
    const limits = this.#limits(limitMs)
    // With the lease all goes at once. Without one (a crash is told by another process) the keys alone.
    if (this.#lease !== undefined) return this.#client.revoke(this.#lease, limits)
    await this.#client.commit([], [{ remove: this.#record }, { remove: this.#mark }], limits)
  }

  async clearLeftovers(): Promise<void> {
    const { service, id } = this.#settings
    const prefix = servicePrefix(this.#target.prefix, service)
    const { entries } = await this.#client.list(prefix, this.#limits())
    for (const { key, value } of entries) {
      if (key === this.#record || !isLeftover(value, this.#url, id)) continue
      await this.#client.commit([], [{ remove: key }, { remove: `${key}/drain` }], this.#limits())
    }
  }

  close(): void {}

  /** False: there is no such lease any more. */
  async #write(report: { readonly state: string; readonly output: string }): Promise<boolean> {
    const text = recordText(this.#settings, this.#url, report)
    if (text === this.#written) return true
    // Until the answer is here it may be there, and a drain must undo it.
    this.#written = ''
    const isDone = await this.#client.put(this.#record, text, this.#lease, this.#limits())
    this.#written = isDone ? text : undefined
    this.#lookedAt = performance.now()
    return isDone
  }

  async #look(): Promise<void> {
    if (this.#written === undefined || performance.now() - this.#lookedAt < LOOK_TTLS * this.#settings.ttlMs)
      return
    this.#lookedAt = performance.now()
    const found = await this.#client.get(this.#record, this.#limits())
    if (found === undefined) this.#written = ''
  }

  get #url(): string {
    const { address, port, meta } = this.#settings
    return `${meta['scheme'] ?? 'http'}://${bracketed(address)}:${port}`
  }

  #limits(limitMs = CALL_TIMEOUT_MS) {
    const isOne = this.#target.endpoints.length === 1
    return {
      signal: AbortSignal.timeout(Math.max(1, Math.ceil(limitMs))),
      timeoutMs: isOne ? limitMs : Math.min(limitMs, MEMBER_TIMEOUT_MS),
    }
  }
}

/** The record, as the gateway reads it (src/registry/instance-record.ts). */
function recordText(
  { id, weights, tags, meta }: Settings,
  url: string,
  { state, output }: { readonly state: string; readonly output: string },
): string {
  // A weight of 0 is none: it takes nothing while it warns.
  const isRefusing = state === 'warning' && weights.warning === 0
  const { version, zone, scheme: _inUrl, ...others } = meta
  return JSON.stringify({
    url,
    id,
    version,
    zone,
    weight: Math.max(1, state === 'warning' ? weights.warning : weights.passing),
    state: isRefusing ? 'critical' : state,
    output: isRefusing ? `weight 0 while warning: ${output}` : output,
    tags,
    meta: { ...others, version, zone },
  })
}

function isLeftover(value: string, url: string, id: string): boolean {
  try {
    const record = JSON.parse(value) as { url?: string; id?: string; meta?: Record<string, string> } | null
    return record?.url === url && record.id !== id && record.meta?.[OWNER_KEY] === OWNER
  } catch {
    return false
  }
}
