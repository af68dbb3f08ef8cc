import { getCACertificates } from 'node:tls'
import { Agent } from 'undici'
import { errorText, GatewayError } from '../core/errors.ts'

/** Sockets to one issuer. */
const MAX_SOCKETS = 16

/** One request to an issuer. */
export interface HttpAsk {
  readonly url: URL
  readonly method?: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** The whole exchange. ms. */
  readonly timeoutMs: number
  /** Of the answer. */
  readonly maxBytes: number
}

/** Talks to issuers: bounded in time and size, never led elsewhere. */
export interface HttpClient {
  /**
   * The body of a 200. Throws GW_IDENTITY_UNREACHABLE when there is no answer in time, GW_IDENTITY_ANSWER for any
   * other status (redirects are not followed: an issuer that was taken over in part must not send us elsewhere) and
   * for what is too large. No message holds a header or a body.
   */
  ask(ask: HttpAsk): Promise<Buffer>
  close(): Promise<void>
}

/** `ca`: PEM of a private authority that is trusted beside the public ones. */
export function createHttpClient(ca?: string): HttpClient {
  const agent = new Agent({
    connections: MAX_SOCKETS,
    connect: ca === undefined ? {} : { ca: [...getCACertificates('default'), ca] },
  })
  return {
    ask: (ask) => askOnce(agent, ask),
    close: () => agent.destroy(),
  }
}

async function askOnce(agent: Agent, ask: HttpAsk): Promise<Buffer> {
  const { url, method = 'GET', headers = {}, body = null, timeoutMs, maxBytes } = ask
  const place = `${url.origin}${url.pathname}`
  const signal = AbortSignal.timeout(timeoutMs)
  try {
    const answer = await agent.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method,
      headers: { accept: 'application/json', ...headers },
      body,
      signal,
    })
    if (answer.statusCode !== 200) {
      // It tells of its end as an error, which nobody else would hear.
      answer.body.on('error', () => {}).destroy()
      throw new GatewayError('GW_IDENTITY_ANSWER', `${place} answered with status ${answer.statusCode}`)
    }
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > maxBytes) {
        throw new GatewayError('GW_IDENTITY_ANSWER', `${place} answered with more than ${maxBytes} bytes`)
      }
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  } catch (thrown) {
    if (thrown instanceof GatewayError) throw thrown
    const reason = signal.aborted ? `no answer within ${timeoutMs} ms` : errorText(thrown)
    throw new GatewayError('GW_IDENTITY_UNREACHABLE', `${place}: ${reason}`)
  }
}
