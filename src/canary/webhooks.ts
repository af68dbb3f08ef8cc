import { errorText } from '../core/errors.ts'

const TIMEOUT_MS = 2000
const RETRIES = 2

export interface WebhooksDeps {
  readonly log: { warn(fields: object, text: string): void }
}

/** Tells others what became of a release. Nobody waits for them, and their failures are only logged. */
export class Webhooks {
  readonly #deps: WebhooksDeps
  readonly #pending = new Set<Promise<void>>()
  #isClosed = false

  constructor(deps: WebhooksDeps) {
    this.#deps = deps
  }

  /** POSTs the body to each URL. Returns at once. */
  tell(urls: readonly string[], body: Readonly<Record<string, unknown>>): void {
    const text = JSON.stringify(body)
    for (const url of urls) {
      const sending = this.#send(url, text).finally(() => this.#pending.delete(sending))
      this.#pending.add(sending)
    }
  }

  async #send(url: string, body: string): Promise<void> {
    let reason = ''
    for (let i = 0; i <= RETRIES && (i === 0 || !this.#isClosed); i++) {
      try {
        const response = await fetch(url, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body,
          redirect: 'error',
          signal: AbortSignal.timeout(TIMEOUT_MS),
        })
        await response.body?.cancel()
        if (response.ok) return
        reason = `status ${response.status}`
      } catch (thrown) {
        reason = errorText(thrown)
      }
    }
    // Path and query of a webhook are its password.
    const host = URL.parse(url)?.host ?? 'no URL'
    this.#deps.log.warn({ webhook: host, err: reason.replaceAll(url, host) }, 'a webhook was told in vain')
  }

  /** What is under way is tried no further. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all(this.#pending)
  }
}
