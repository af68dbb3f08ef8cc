import { readFileSync } from 'node:fs'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import Consul from 'consul'
import type { ConsulConnection } from './consul-client.ts'
import { TokenSource } from './consul-token.ts'

/** An agent without a leader answers late or not at all. ms. */
const TIMEOUT_MS = 2000

/** Single calls of Consul's API, each bounded and with the token of the moment. Watches are `ConsulClient`'s. */
export class ConsulCalls {
  readonly #connection: Omit<ConsulConnection, 'wait'>
  readonly #token: TokenSource

  constructor(connection: Omit<ConsulConnection, 'wait'>) {
    this.#connection = connection
    this.#token = new TokenSource(connection)
  }

  /** Rejects with what the package `consul` throws. `url`: another agent than that of the connection. */
  async call<T>(run: (consul: Consul) => Promise<T>, url: string = this.#connection.url): Promise<T> {
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
    const { ca, cert, key, verify } = this.#connection.tls ?? {}
    return new HttpsAgent({
      ...(ca === undefined ? {} : { ca: readFileSync(ca) }),
      ...(cert === undefined ? {} : { cert: readFileSync(cert) }),
      ...(key === undefined ? {} : { key: readFileSync(key) }),
      ...(verify === undefined ? {} : { rejectUnauthorized: verify }),
    })
  }
}
