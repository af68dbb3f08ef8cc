import { Agent, request } from 'undici'
import { sleep } from '../core/duration.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import { takeServerEvents } from '../core/server-events.ts'
import type { ServiceView } from '../core/views.ts'

const TIMEOUT_MS = 5000
const RECONNECT_MS = 200

/** One event of `GET /api/events`. `data` is whatever the gateway sent. */
export interface AdminEvent {
  readonly type: string
  readonly data: Readonly<Record<string, unknown>>
}

/** Takes server-sent events out of a text that grows. Returns the rest that is not complete yet. */
export function takeEvents(text: string, onEvent: (event: AdminEvent) => void): string {
  return takeServerEvents(text, ({ type, data }) => {
    if (data === '') return
    try {
      onEvent({ type, data: JSON.parse(data) as Record<string, unknown> })
    } catch {
      // Not JSON: an event of a gateway that we do not know.
    }
  })
}

/** The admin side of one gateway. */
export class AdminClient {
  readonly url: string
  readonly #headers: Readonly<Record<string, string>>
  readonly #agent = new Agent({ connections: 4, keepAliveTimeout: 1000, keepAliveMaxTimeout: 1000 })

  constructor(url: string, token?: string) {
    this.url = url
    this.#headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  }

  /** One service; undefined when the gateway does not know it. Throws GW_ADMIN_UNREACHABLE. */
  async service(name: string): Promise<ServiceView | undefined> {
    const { status, body } = await this.#get(`/api/services/${encodeURIComponent(name)}`)
    if (status === 404) return undefined
    if (status !== 200)
      throw new GatewayError('GW_ADMIN_UNREACHABLE', `${this.url} answered ${status}: ${body}`)
    return JSON.parse(body) as ServiceView
  }

  /** Whether `/health/ready` says 200; false also when nothing answers. */
  async isReady(timeoutMs = TIMEOUT_MS): Promise<boolean> {
    try {
      return (await this.#get('/health/ready', timeoutMs)).status === 200
    } catch {
      return false
    }
  }

  async #get(path: string, timeoutMs = TIMEOUT_MS): Promise<{ status: number; body: string }> {
    try {
      const answer = await request(new URL(path, this.url), {
        dispatcher: this.#agent,
        headers: this.#headers,
        signal: AbortSignal.timeout(timeoutMs),
      })
      return { status: answer.statusCode, body: await answer.body.text() }
    } catch (cause) {
      const text = `no gateway answers at ${this.url}: ${errorText(cause)}; name its admin address with --admin`
      throw new GatewayError('GW_ADMIN_UNREACHABLE', text, { cause })
    }
  }

  /** Follows the events until the signal aborts; comes back by itself after a restart. Never rejects. */
  async follow(signal: AbortSignal, onEvent: (event: AdminEvent) => void): Promise<void> {
    while (!signal.aborted) {
      try {
        const { body } = await request(new URL('/api/events', this.url), {
          dispatcher: this.#agent,
          headers: this.#headers,
          bodyTimeout: 60_000,
          signal,
        })
        let text = ''
        const decoder = new TextDecoder()
        for await (const chunk of body as AsyncIterable<Uint8Array>) {
          text = takeEvents(text + decoder.decode(chunk, { stream: true }), onEvent)
        }
      } catch {
        // The gateway is being restarted, or the run is over.
      }
      await sleep(RECONNECT_MS, signal)
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }
}
