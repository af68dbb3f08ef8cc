import type { DataPath, Listener } from '../plugins/proxy.ts'
import type { StaticConfig } from './config/load.ts'
import { splitAddress, urlOf } from './core/address.ts'
import { type ErrorCode, GatewayError } from './core/errors.ts'
import { Certificates } from './proxy/certificates.ts'
import { createPublicServer, type PublicServer } from './proxy/public-server.ts'

export interface ListenersDeps {
  readonly config: StaticConfig
  readonly dataPath: DataPath
  onMalformed(code: ErrorCode): void
}

interface Open {
  readonly name: 'http' | 'https'
  readonly server: PublicServer
  readonly host: string
  port: number
}

/** The listeners for clients, in clear and over TLS. */
export class Listeners {
  readonly #all: Open[] = []
  readonly #certificates: Certificates | undefined

  /** Throws GW_CONFIG_INVALID naming the certificate that cannot be used. */
  constructor({ config, dataPath, onMalformed }: ListenersDeps) {
    const { http, https } = config.listen
    const add = (name: 'http' | 'https', address: string, tls?: object) => {
      const { host, port } = splitAddress(address)
      const listener: Listener = { scheme: name, port }
      const options = { host, port, limits: config.limits, onMalformed, ...dataPath.handlers(listener) }
      this.#all.push({ name, host, port, server: createPublicServer({ ...options, ...tls }) })
    }
    if (http !== undefined) add('http', http.address)
    if (https !== undefined) {
      const { certificates, http2, minVersion, clientAuth } = https
      this.#certificates = new Certificates(certificates, clientAuth)
      add('https', https.address, { tls: { certificates: this.#certificates, http2, minVersion } })
    }
  }

  /** Throws GW_LISTEN_FAILED. */
  async listen(): Promise<void> {
    for (const one of this.#all) {
      try {
        one.port = await one.server.listen()
      } catch (cause) {
        throw new GatewayError('GW_LISTEN_FAILED', `listen.${one.name} ${one.host}:${one.port}`, { cause })
      }
    }
  }

  /** Where clients come in. */
  urls(): string[] {
    return this.#all.map(({ name, host, port }) => urlOf(name, host, port))
  }

  /** Address and port of the first listener. */
  first(): { readonly host: string; readonly port: number } | undefined {
    return this.#all[0]
  }

  /** Reads certificates again; what is wrong, one line each. */
  reloadCertificates(): string[] {
    return this.#certificates?.reload() ?? []
  }

  /** Expiry by file; ms since the epoch. */
  certificates(): ReadonlyMap<string, number> {
    return new Map(this.#certificates?.info().map(({ file, expiresAt }) => [file, expiresAt]))
  }

  async connections(): Promise<ReadonlyMap<string, number>> {
    const counts = this.#all.map(async ({ name, server }) => [name, await server.connections()] as const)
    return new Map(await Promise.all(counts))
  }

  beginDrain(): void {
    for (const { server } of this.#all) server.beginDrain()
  }

  /** Stops listening; resolves when the last client is gone. */
  async close(): Promise<void> {
    await Promise.all(this.#all.map(({ server }) => server.close()))
  }

  /** Cuts off whoever is left; returns how many that were. */
  async destroy(): Promise<number> {
    const left = await Promise.all(this.#all.map(({ server }) => server.destroy()))
    return left.reduce((sum, count) => sum + count, 0)
  }
}
