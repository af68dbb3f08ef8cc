import { readFileSync } from 'node:fs'
import { Pool } from 'undici'
import { errorText, GatewayError, toError } from '../core/errors.ts'
import { TokenSource } from './consul-token.ts'

/** A read that takes longer than its own wait and this is dead: a half-open connection tells nothing. ms. */
const WATCHDOG_MS = 10_000
/** Below it Consul's answers are read as they come; a body that stalls is dead, too. ms. */
const BODY_TIMEOUT_MS = 10_000
const MAX_ERROR_TEXT = 200

/** How to reach a Consul agent. Times: ms. */
export interface ConsulConnection {
  readonly url: string
  readonly token?: string | undefined
  readonly tokenFile?: string | undefined
  readonly wait: number
  readonly tls?:
    | {
        readonly ca?: string | undefined
        readonly cert?: string | undefined
        readonly key?: string | undefined
        readonly verify?: boolean | undefined
      }
    | undefined
}

/** One good answer of Consul. */
export interface ConsulAnswer {
  /** `X-Consul-Index`; 0 when there is none. */
  readonly index: number
  /** `X-Consul-LastContact`, ms. */
  readonly lagMs: number | undefined
  /** False: the server knows of none (`X-Consul-KnownLeader`). */
  readonly hasLeader: boolean
  /** `X-Consul-Results-Filtered-By-ACLs` (Consul 1.11 and newer). */
  readonly isFiltered: boolean
  readonly text: string
}

export interface ConsulRead {
  readonly path: string
  readonly datacentre: string | undefined
  /** Above 0: a blocking query that returns when the index is passed. */
  readonly index: number
  /** Further parameters. */
  readonly query?: Readonly<Record<string, string>>
  /** What 404 stands for; default: an error. */
  readonly emptyText?: string
}

/** Reads from one agent through its own sockets. Any server may answer (`stale`): it also works without a leader. */
export class ConsulClient {
  readonly #pool: Pool
  readonly #prefix: string
  readonly #wait: number
  readonly #token: TokenSource

  /** Throws GW_REGISTRY_FILE when a PEM file cannot be read. */
  constructor(connection: ConsulConnection, maxSockets: number) {
    const { origin, pathname } = new URL(connection.url)
    this.#prefix = pathname.replace(/\/+$/, '')
    this.#wait = connection.wait
    this.#token = new TokenSource(connection)
    this.#pool = new Pool(origin, {
      connections: maxSockets,
      pipelining: 1,
      connect: { timeout: 5000, ...readTls(connection.tls) },
    })
  }

  /** Aborts when the token file changed: what blocks then still asks with the old token. */
  get tokenChanged(): AbortSignal {
    return this.#token.changed
  }

  /** Looks at the token file now. */
  async checkToken(): Promise<void> {
    await this.#token.refresh()
  }

  /** Throws GW_REGISTRY_UNREACHABLE, _TIMEOUT, _ACL or _ANSWER. */
  async get(read: ConsulRead, signal: AbortSignal): Promise<ConsulAnswer> {
    const { path, datacentre, index, emptyText } = read
    const query = new URLSearchParams({ stale: '', ...read.query })
    if (datacentre !== undefined) query.set('dc', datacentre)
    if (index > 0) {
      query.set('index', String(index))
      query.set('wait', `${this.#wait}ms`)
    }
    const token = await this.#token.read()
    const headersTimeout = WATCHDOG_MS + (index > 0 ? this.#wait + this.#wait / 16 : 0)
    let status: number
    let headers: Record<string, string | string[] | undefined>
    let text: string
    try {
      const answer = await this.#pool.request({
        method: 'GET',
        path: `${this.#prefix}${path}?${query}`,
        headers: { accept: 'application/json', ...(token === undefined ? {} : { 'x-consul-token': token }) },
        headersTimeout,
        bodyTimeout: BODY_TIMEOUT_MS,
        signal,
      })
      status = answer.statusCode
      headers = answer.headers
      text = await answer.body.text()
    } catch (thrown) {
      throw networkError(toError(thrown))
    }
    if (status === 404 && emptyText !== undefined) {
      text = emptyText
    } else if (status !== 200) {
      if (status === 403) this.#token.forget()
      throw statusError(status, text)
    }
    const lag = headers['x-consul-lastcontact']
    return {
      index: Number(headers['x-consul-index']) || 0,
      lagMs: lag === undefined ? undefined : Number(lag),
      hasLeader: headers['x-consul-knownleader'] !== 'false',
      isFiltered: headers['x-consul-results-filtered-by-acls'] === 'true',
      text,
    }
  }

  async close(): Promise<void> {
    await this.#pool.destroy()
  }
}

/** The JSON of an answer. Throws GW_REGISTRY_ANSWER. */
export function parseAnswer(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new GatewayError('GW_REGISTRY_ANSWER', 'Consul answered with something that is no JSON', { cause })
  }
}

function networkError(cause: Error): GatewayError {
  const { code } = cause as NodeJS.ErrnoException
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') {
    return new GatewayError('GW_REGISTRY_TIMEOUT', 'Consul did not answer within the wait and 10 s', {
      cause,
    })
  }
  // What an agent does with connection 201 of one client (limits.http_max_conns_per_client).
  const hint = code === 'ECONNRESET' ? ' (restarted, or its limit of connections a client is reached)' : ''
  return new GatewayError('GW_REGISTRY_UNREACHABLE', `Consul cannot be reached${hint}: ${errorText(cause)}`)
}

function statusError(status: number, text: string): GatewayError {
  const said = text.trim().slice(0, MAX_ERROR_TEXT)
  if (status === 403) {
    return new GatewayError(
      'GW_REGISTRY_ACL',
      `Consul refused the token (403 ${said}): the gateway needs service:read and node:read`,
    )
  }
  return new GatewayError('GW_REGISTRY_ANSWER', `Consul answered ${status}: ${said}`)
}

function readTls(tls: ConsulConnection['tls']): Record<string, unknown> {
  const read = (file: string) => {
    try {
      return readFileSync(file)
    } catch (cause) {
      throw new GatewayError('GW_REGISTRY_FILE', `${file} cannot be read`, { cause })
    }
  }
  return {
    ...(tls?.ca === undefined ? {} : { ca: read(tls.ca) }),
    ...(tls?.cert === undefined ? {} : { cert: read(tls.cert) }),
    ...(tls?.key === undefined ? {} : { key: read(tls.key) }),
    ...(tls?.verify === undefined ? {} : { rejectUnauthorized: tls.verify }),
  }
}
