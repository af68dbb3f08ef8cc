import { errorText, GatewayError } from '../core/errors.ts'
import type { Instance } from '../core/types.ts'
import { createAddressRule } from './consul-address.ts'
import { ConsulCalls } from './consul-calls.ts'
import type { ConsulConnection } from './consul-client.ts'
import { type DrainTeller, drainReason, type Telling } from './drain-teller.ts'

export interface ConsulDrainOptions extends Omit<ConsulConnection, 'wait'> {
  /** Addresses or CIDRs: no agent there gets the token. */
  readonly forbidAddresses: readonly string[]
}

/**
 * Maintenance can only be set at the agent that has the service: the configured one when it has, else the one at the
 * address of the instance's node, at the same port.
 */
export class ConsulDrain implements DrainTeller {
  readonly #options: ConsulDrainOptions
  readonly #calls: ConsulCalls

  constructor(options: ConsulDrainOptions) {
    this.#options = options
    this.#calls = new ConsulCalls(options)
  }

  async tell(instance: Instance, reason: string | undefined): Promise<Telling> {
    let url = this.#options.url
    try {
      if (!(await this.#isOwner(instance))) url = await this.#urlOfNode(instance)
      await this.#calls.call(
        ({ agent }) =>
          agent.service.maintenance({
            id: instance.id,
            enable: reason !== undefined,
            ...(reason === undefined ? {} : { reason: drainReason(reason) }),
          }),
        url,
      )
      return { isTold: true, detail: `the agent ${new URL(url).host} was told` }
    } catch (thrown) {
      return {
        isTold: false,
        detail: `the agent ${new URL(url).host} could not be told: ${errorText(thrown)}`,
      }
    }
  }

  /** Ids are unique for an agent only: the node has to be the same, too, as far as the token may read it. */
  async #isOwner(instance: Instance): Promise<boolean> {
    const filter = `ID == ${JSON.stringify(instance.id)}`
    const own = (await this.#calls.call(({ agent }) => agent.service.list({ filter }))) as Record<
      string,
      { Port?: number; Address?: string }
    >
    const found = own[instance.id]
    if (found === undefined) return false
    const self = (await this.#calls.call(({ agent }) => agent.self()).catch(() => undefined)) as
      | { Config?: { NodeName?: string; Datacenter?: string } }
      | undefined
    if (self?.Config?.NodeName === undefined) {
      return found.Port === instance.port && ['', instance.address].includes(found.Address ?? '')
    }
    const { NodeName, Datacenter } = self.Config
    return NodeName === instance.node && (Datacenter === undefined || Datacenter === instance.datacentre)
  }

  async #urlOfNode({ node = '', datacentre, address }: Instance): Promise<string> {
    const { url, forbidAddresses } = this.#options
    const found = (await this.#calls.call(({ catalog }) =>
      catalog.node.services({ node, ...(datacentre === undefined ? {} : { dc: datacentre }) }),
    )) as { Node?: { Address?: string } } | undefined
    const host = found?.Node?.Address ?? address
    const refusal = createAddressRule(forbidAddresses)(host)
    const other = new URL(url)
    // Whoever may write the registry must not aim our token at any address.
    if (refusal !== undefined) throw new GatewayError('GW_REGISTRY_ANSWER', refusal)
    other.hostname = host.includes(':') ? `[${host}]` : host
    return other.href
  }
}
