import { readFileSync } from 'node:fs'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import Consul from 'consul'
import { errorText, GatewayError } from '../core/errors.ts'
import type { Instance } from '../core/types.ts'
import { createAddressRule } from './consul-address.ts'
import type { ConsulConnection } from './consul-client.ts'
import { TokenSource } from './consul-token.ts'
import { type DrainTeller, drainReason, type Telling } from './drain-teller.ts'

/** An agent without a leader answers late or not at all, but it has the mark. ms. */
const TIMEOUT_MS = 2000

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
  readonly #token: TokenSource

  constructor(options: ConsulDrainOptions) {
    this.#options = options
    this.#token = new TokenSource(options)
  }

  async tell(instance: Instance, reason: string | undefined): Promise<Telling> {
    let url = this.#options.url
    try {
      if (!(await this.#isOwner(instance))) url = await this.#urlOfNode(instance)
      await this.#call(url, ({ agent }) =>
        agent.service.maintenance({
          id: instance.id,
          enable: reason !== undefined,
          ...(reason === undefined ? {} : { reason: drainReason(reason) }),
        }),
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
    const { url } = this.#options
    const filter = `ID == ${JSON.stringify(instance.id)}`
    const own = (await this.#call(url, ({ agent }) => agent.service.list({ filter }))) as Record<
      string,
      { Port?: number; Address?: string }
    >
    const found = own[instance.id]
    if (found === undefined) return false
    const self = (await this.#call(url, ({ agent }) => agent.self()).catch(() => undefined)) as
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
    const found = (await this.#call(url, ({ catalog }) =>
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

  async #call<T>(url: string, run: (consul: Consul) => Promise<T>): Promise<T> {
    const token = await this.#token.read()
    const consul = new Consul({
      baseUrl: `${url.replace(/\/+$/, '')}/v1`,
      agent: this.#agent(url),
      timeout: TIMEOUT_MS,
      defaults: token === undefined ? {} : { token },
    } as ConstructorParameters<typeof Consul>[0])
    try {
      return await run(consul)
    } finally {
      consul.destroy()
    }
  }

  #agent(url: string): HttpAgent | HttpsAgent {
    if (!url.startsWith('https:')) return new HttpAgent()
    const { ca, cert, key, verify } = this.#options.tls ?? {}
    return new HttpsAgent({
      ...(ca === undefined ? {} : { ca: readFileSync(ca) }),
      ...(cert === undefined ? {} : { cert: readFileSync(cert) }),
      ...(key === undefined ? {} : { key: readFileSync(key) }),
      ...(verify === undefined ? {} : { rejectUnauthorized: verify }),
    })
  }
}
