import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { type ClientRequest, type IncomingMessage, request as plainRequest } from 'node:http'
import { request as tlsRequest } from 'node:https'
import { GatewayError } from '../core/errors.ts'

/** No call to the agent takes longer: without a quorum an agent lets some wait for half a minute. ms. */
export const CALL_TIMEOUT_MS = 2000
/** What an agent says is short; more than this is not from an agent. Bytes. */
const MAX_ANSWER = 4 * 1024 * 1024

/** Which agent, and how it is spoken to. */
export interface AgentOptions {
  /** `http://127.0.0.1:8500`, `https://…`, a path in it is put before `/v1`; or `unix:///run/consul.sock`. */
  readonly url: string
  readonly token?: string | undefined
  /** Wins over `token`; read for each call, so that a rotated token is taken at once. */
  readonly tokenFile?: string | undefined
  /** PEM files. */
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
}

/** The answer of an agent, whatever its status. */
export interface AgentAnswer {
  readonly status: number
  readonly body: string
}

/**
 * `host:port`, `http://…`, `https://…` or `unix://…` as the agent's URL; `isTls` (`CONSUL_HTTP_SSL`) decides for an
 * address without a scheme. Throws GW_REGISTER_OPTIONS.
 */
export function agentUrl(text: string, isTls = false): string {
  const full = /^[a-z]+:\/\//i.test(text) ? text : `${isTls ? 'https' : 'http'}://${text}`
  if (/^(?:https?|unix):/i.test(full) && URL.canParse(full)) return full.replace(/\/+$/, '')
  throw new GatewayError(
    'GW_REGISTER_OPTIONS',
    `"${text}" is no agent address: write http://10.0.0.5:8500, 10.0.0.5:8500 or unix:///run/consul.sock`,
  )
}

/**
 * Calls of a Consul agent's HTTP API. Each has a connection of its own: a beat every few seconds gains nothing from
 * a kept one, and a stale one would cost it.
 */
export class AgentClient {
  readonly #options: AgentOptions
  readonly #base: URL
  readonly #tls: { ca?: Buffer; cert?: Buffer; key?: Buffer }
  #lastToken: string | undefined

  /** Throws GW_REGISTER_OPTIONS when a PEM file cannot be read. */
  constructor(options: AgentOptions) {
    this.#options = options
    this.#base = new URL(options.url)
    this.#lastToken = options.token
    const { ca, cert, key } = options
    this.#tls = {
      ...(ca === undefined ? {} : { ca: readPem(ca) }),
      ...(cert === undefined ? {} : { cert: readPem(cert) }),
      ...(key === undefined ? {} : { key: readPem(key) }),
    }
  }

  /** For logs; holds no secret. */
  get url(): string {
    return this.#options.url
  }

  /** Throws GW_REGISTRY_UNREACHABLE, GW_REGISTRY_TIMEOUT. */
  async call(
    method: 'GET' | 'PUT',
    path: string,
    body?: unknown,
    timeoutMs = CALL_TIMEOUT_MS,
  ): Promise<AgentAnswer> {
    const signal = AbortSignal.timeout(Math.max(1, Math.ceil(timeoutMs)))
    const token = await this.#token()
    const text = body === undefined ? undefined : JSON.stringify(body)
    try {
      return await new Promise<AgentAnswer>((resolve, reject) => {
        const request = this.#open(method, path, signal, {
          ...(token === undefined ? {} : { 'x-consul-token': token }),
          ...(text === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
        })
        request.on('response', (response) => collect(response).then(resolve, reject))
        request.on('error', reject)
        request.end(text)
      })
    } catch (cause) {
      if (signal.aborted) {
        throw new GatewayError('GW_REGISTRY_TIMEOUT', `${this.url}: no answer in ${timeoutMs} ms`)
      }
      throw new GatewayError('GW_REGISTRY_UNREACHABLE', this.url, { cause })
    }
  }

  #open(
    method: string,
    path: string,
    signal: AbortSignal,
    headers: Record<string, string | number>,
  ): ClientRequest {
    const common = { method, signal, headers, agent: false as const }
    const { protocol, pathname, hostname, port } = this.#base
    if (protocol === 'unix:') {
      return plainRequest({ ...common, socketPath: decodeURIComponent(pathname), path: `/v1${path}` })
    }
    const prefix = pathname === '/' ? '' : pathname
    const target = { host: hostname.replace(/^\[|\]$/g, ''), path: `${prefix}/v1${path}` }
    return protocol === 'https:'
      ? tlsRequest({ ...common, ...target, ...this.#tls, port: port === '' ? 443 : Number(port) })
      : plainRequest({ ...common, ...target, port: port === '' ? 80 : Number(port) })
  }

  /** The last one that could be read: a file that is being replaced is no reason to go without. */
  async #token(): Promise<string | undefined> {
    const { tokenFile } = this.#options
    if (tokenFile !== undefined) {
      const text = await readFile(tokenFile, 'utf8').catch(() => '')
      if (text.trim() !== '') this.#lastToken = text.trim()
    }
    return this.#lastToken === '' ? undefined : this.#lastToken
  }
}

async function collect(response: IncomingMessage): Promise<AgentAnswer> {
  let body = ''
  response.setEncoding('utf8')
  for await (const chunk of response as AsyncIterable<string>) {
    body += chunk
    if (body.length > MAX_ANSWER) {
      throw new GatewayError('GW_REGISTRY_ANSWER', 'the answer is too long for an agent')
    }
  }
  return { status: response.statusCode ?? 0, body }
}

function readPem(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw new GatewayError('GW_REGISTER_OPTIONS', `${file} cannot be read`, { cause })
  }
}
