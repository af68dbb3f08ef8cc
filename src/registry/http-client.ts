import { readFileSync } from 'node:fs'
import { Agent, request } from 'undici'
import { errorText, GatewayError } from '../core/errors.ts'

/** PEM files. `verify: false` trusts any certificate. */
export interface HttpTls {
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly verify?: boolean | undefined
}

export interface HttpCall {
  readonly url: string
  readonly method?: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** For the whole answer. ms. */
  readonly timeoutMs: number
  /** Longer answers are refused. Bytes. */
  readonly maxBytes: number
  readonly signal: AbortSignal
}

export interface HttpAnswer {
  readonly status: number
  readonly etag: string | undefined
  readonly text: string
}

/** Calls of registries that speak HTTP. Redirects are not followed: a token must not go where it was not meant to. */
export class HttpClient {
  readonly #agent: Agent

  /** Throws GW_REGISTRY_FILE when a PEM file cannot be read. */
  constructor(tls: HttpTls | undefined) {
    this.#agent = new Agent({
      connections: 16,
      connect: {
        timeout: 5000,
        ...(tls?.ca === undefined ? {} : { ca: readPem(tls.ca) }),
        ...(tls?.cert === undefined ? {} : { cert: readPem(tls.cert) }),
        ...(tls?.key === undefined ? {} : { key: readPem(tls.key) }),
        ...(tls?.verify === undefined ? {} : { rejectUnauthorized: tls.verify }),
      },
    })
  }

  /**
   * One answer, whatever its status. Throws GW_REGISTRY_UNREACHABLE, _TIMEOUT, or _ANSWER for one that is too long. What
   * follows `?` is in no message: it may hold a token.
   */
  async call({ url, method = 'GET', headers = {}, body, ...limits }: HttpCall): Promise<HttpAnswer> {
    const { timeoutMs, maxBytes, signal } = limits
    const place = placeOf(url)
    const limit = AbortSignal.timeout(timeoutMs)
    try {
      const answer = await request(url, {
        method,
        headers,
        dispatcher: this.#agent,
        signal: AbortSignal.any([limit, signal]),
        headersTimeout: 0,
        bodyTimeout: 0,
        ...(body === undefined ? {} : { body }),
      })
      const chunks: Buffer[] = []
      let length = 0
      for await (const chunk of answer.body as AsyncIterable<Buffer>) {
        length += chunk.length
        if (length > maxBytes) {
          throw new GatewayError(
            'GW_REGISTRY_ANSWER',
            `${place}: the answer is longer than ${maxBytes} bytes`,
          )
        }
        chunks.push(chunk)
      }
      const etag = answer.headers['etag']
      return {
        status: answer.statusCode,
        etag: typeof etag === 'string' ? etag : undefined,
        text: Buffer.concat(chunks).toString('utf8'),
      }
    } catch (thrown) {
      if (thrown instanceof GatewayError) throw thrown
      if (limit.aborted) {
        throw new GatewayError('GW_REGISTRY_TIMEOUT', `${place}: no whole answer in ${timeoutMs} ms`)
      }
      throw new GatewayError('GW_REGISTRY_UNREACHABLE', `${place}: ${errorText(thrown)}`)
    }
  }

  /** Ends the connections. */
  async close(): Promise<void> {
    await this.#agent.destroy()
  }
}

/** A URL as it may be shown: without user, password and query. */
export function placeOf(url: string): string {
  const { origin, pathname } = new URL(url)
  return `${origin}${pathname}`
}

/** What a text holds as JSON. Throws GW_REGISTRY_ANSWER that names the place. */
export function parseJson(place: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (thrown) {
    throw new GatewayError('GW_REGISTRY_ANSWER', `${place}: this is no JSON: ${errorText(thrown)}`)
  }
}

function readPem(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw new GatewayError('GW_REGISTRY_FILE', `${file} cannot be read`, { cause })
  }
}
