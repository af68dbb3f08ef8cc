import { readFileSync } from 'node:fs'
import { getCACertificates } from 'node:tls'
import { Agent } from 'undici'
import { errorText, GatewayError } from '../core/errors.ts'
import { Headers } from '../core/headers.ts'

/** Of a refusal; more is cut off with an error. Bytes. */
const MAX_BODY_BYTES = 65_536
/** Sockets to the service. */
const MAX_SOCKETS = 64

export interface AuthServiceOptions {
  readonly url: URL
  readonly method: 'GET' | 'HEAD' | 'POST'
  /** The whole question. */
  readonly timeoutMs: number
  readonly maxInFlight: number
  /** PEM file of an authority that is trusted beside the public ones. */
  readonly ca: string | undefined
}

/** What the service answered. The body of a 2xx is left out. */
export interface AuthAnswer {
  readonly status: number
  readonly headers: Headers
  readonly body: Buffer
}

/** Asks an HTTP service; redirects are answers, not followed. */
export interface AuthService {
  /** Rejects when there is no answer in time, or too many questions are under way. */
  ask(headers: Headers): Promise<AuthAnswer>
  close(): Promise<void>
}

const latin1 = (bytes: Buffer) => bytes.toString('latin1')

const EMPTY = Buffer.alloc(0)

/** Throws GW_CONFIG_INVALID when `ca` cannot be read. */
export function createAuthService(options: AuthServiceOptions): AuthService {
  const { url, method, timeoutMs, maxInFlight } = options
  const agent = new Agent({ connections: MAX_SOCKETS, connect: trusting(options.ca) })
  let inFlight = 0

  async function askOnce(headers: Headers): Promise<AuthAnswer> {
    const signal = AbortSignal.timeout(timeoutMs)
    try {
      const answer = await agent.request({
        ...{ origin: url.origin, path: url.pathname + url.search, method, signal },
        headers: headers.raw(),
        responseHeaders: 'raw',
      })
      const fields = answer.headers as unknown as readonly (string | Buffer)[]
      const received = new Headers(fields.map((each) => (typeof each === 'string' ? each : latin1(each))))
      const isGood = answer.statusCode >= 200 && answer.statusCode < 300
      const body = await readBody(answer.body)
      return { status: answer.statusCode, headers: received, body: isGood ? EMPTY : body }
    } catch (thrown) {
      if (signal.aborted) throw new GatewayError('GW_AUTH_UNAVAILABLE', `no answer within ${timeoutMs} ms`)
      throw new GatewayError('GW_AUTH_UNAVAILABLE', errorText(thrown))
    }
  }

  return {
    async ask(headers) {
      if (inFlight >= maxInFlight) {
        throw new GatewayError('GW_AUTH_UNAVAILABLE', `${maxInFlight} questions are under way`)
      }
      inFlight++
      try {
        return await askOnce(headers)
      } finally {
        inFlight--
      }
    },
    close: () => agent.destroy(),
  }
}

function trusting(ca: string | undefined): { ca?: string[] } {
  if (ca === undefined) return {}
  try {
    return { ca: [...getCACertificates('default'), readFileSync(ca, 'utf8')] }
  } catch (thrown) {
    throw new GatewayError('GW_CONFIG_INVALID', `options.ca: ${ca} cannot be read: ${errorText(thrown)}`)
  }
}

async function readBody(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) throw new GatewayError('GW_AUTH_UNAVAILABLE', 'its answer is too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
