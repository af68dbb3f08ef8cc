import { GatewayError } from '../core/errors.ts'
import { type AgentAnswer, AgentClient, type AgentOptions } from './agent.ts'
import type { HealthReport } from './health.ts'
import type { Registrar } from './registrar.ts'
import { OWNER, OWNER_KEY, type Settings } from './settings.ts'

/** The reason of the maintenance mode; the gateway takes it for `draining`. */
const DRAINING = 'draining'

/** An instance in Consul, through an agent, or in the gateway's embedded registry: a service with a TTL check. */
export class ConsulRegistrar implements Registrar {
  readonly #settings: Settings
  readonly #agent: AgentClient

  /** Throws GW_REGISTER_OPTIONS for PEM files that cannot be read. */
  constructor(settings: Settings, agent: AgentOptions) {
    this.#settings = settings
    this.#agent = new AgentClient(agent)
  }

  get url(): string {
    return this.#agent.url
  }

  async register(): Promise<void> {
    const { service, id, address, port, tags, meta, weights, ttlMs, deregisterAfterMs } = this.#settings
    const answer = await this.#agent.call('PUT', '/agent/service/register?replace-existing-checks=true', {
      Name: service,
      ID: id,
      Address: address,
      Port: port,
      Tags: tags,
      Meta: meta,
      Weights: { Passing: weights.passing, Warning: weights.warning },
      Check: {
        CheckID: this.#checkId,
        Name: `${service} beats`,
        TTL: `${ttlMs}ms`,
        Status: 'critical',
        DeregisterCriticalServiceAfter: `${deregisterAfterMs}ms`,
      },
    })
    if (answer.status !== 200) throw refusal(answer)
  }

  async report({ state, output }: HealthReport): Promise<string | undefined> {
    const body = { Status: state, Output: output }
    const path = `/agent/check/update/${encodeURIComponent(this.#checkId)}`
    const answer = await this.#agent.call('PUT', path, body)
    if (answer.status === 200) return undefined
    if (!isUnknown(answer)) throw refusal(answer)
    return answer.body.trim()
  }

  async mark(reason: string): Promise<void> {
    const words = encodeURIComponent(reason === '' ? DRAINING : `${DRAINING}: ${reason}`)
    await this.#lastWord(`/agent/service/maintenance/${this.#path}?enable=true&reason=${words}`)
  }

  remove(limitMs: number): Promise<void> {
    return this.#lastWord(`/agent/service/deregister/${this.#path}`, limitMs)
  }

  async clearLeftovers(): Promise<void> {
    const { status, body } = await this.#agent.call('GET', '/agent/services')
    if (status !== 200) return
    for (const id of leftovers(body, this.#settings)) {
      await this.#agent.call('PUT', `/agent/service/deregister/${encodeURIComponent(id)}`)
    }
  }

  close(): void {}

  async #lastWord(path: string, limitMs?: number): Promise<void> {
    const answer = await this.#agent.call('PUT', path, undefined, limitMs)
    if (answer.status !== 200 && answer.status !== 404) throw refusal(answer)
  }

  get #checkId(): string {
    return `service:${this.#settings.id}`
  }

  get #path(): string {
    return encodeURIComponent(this.#settings.id)
  }
}

/** Newer agents say 404; before 1.11 it is a 500 with words, as for every other fault. */
export function isUnknown({ status, body }: AgentAnswer): boolean {
  return status === 404 || (status === 500 && /does not have associated TTL|Unknown check/i.test(body))
}

function refusal({ status, body }: AgentAnswer): GatewayError {
  const said = body.trim().slice(0, 200)
  return status === 403
    ? new GatewayError(
        'GW_REGISTRY_ACL',
        `the agent refused the token (403 ${said}): it needs service:write on the service's name`,
      )
    : new GatewayError('GW_REGISTRY_ANSWER', `the agent answered ${status} ${said}`)
}

/** Ids in an answer of `/v1/agent/services` that stand for the same service at the same place, registered by us. */
export function leftovers(body: string, { service, id, address, port }: Settings): string[] {
  let all: unknown
  try {
    all = JSON.parse(body)
  } catch {
    return []
  }
  if (typeof all !== 'object' || all === null) return []
  return Object.values(all as Record<string, unknown>).flatMap((value) => {
    const one = value as {
      ID?: string
      Service?: string
      Address?: string
      Port?: number
      Meta?: Record<string, string> | null
    } | null
    const isOurs =
      one?.Service === service &&
      one.Port === port &&
      (one.Address ?? '') === address &&
      one.Meta?.[OWNER_KEY] === OWNER
    return isOurs && one.ID !== undefined && one.ID !== id ? [one.ID] : []
  })
}
