import { postJson, receiverOf } from './post.ts'

const TIMEOUT_MS = 2000
const RETRIES = 2
/** POSTs under way. A receiver that hangs must not gather them without end. */
const MAX_PENDING = 200

/** What became of something that somebody should be told. */
export type NotifyResult = 'ok' | 'failed' | 'dropped'

export interface WebhooksDeps {
  readonly log: { warn(fields: object, text: string): void }
  /** For counters. */
  onResult?(result: NotifyResult): void
}

/** Tells others what happened. Nobody waits for them; their failures are logged and counted. */
export class Webhooks {
  readonly #deps: WebhooksDeps
  readonly #pending = new Set<Promise<void>>()
  #isClosed = false

  constructor(deps: WebhooksDeps) {
    this.#deps = deps
  }

  /** POSTs the body to each URL. Returns at once. */
  tell(urls: readonly string[], body: Readonly<Record<string, unknown>>): void {
    if (urls.length === 0) return
    const text = JSON.stringify(body)
    for (const url of urls) {
      if (this.#pending.size >= MAX_PENDING) {
        this.#lose(url, 'dropped', 'too many are under way')
        continue
      }
      const sending = this.#send(url, text).finally(() => this.#pending.delete(sending))
      this.#pending.add(sending)
    }
  }

  async #send(url: string, body: string): Promise<void> {
    const receiver = receiverOf(url)
    let reason: string | undefined
    for (let i = 0; i <= RETRIES && (i === 0 || !this.#isClosed); i++) {
      reason = await postJson(receiver, body, TIMEOUT_MS)
      if (reason === undefined) break
    }
    if (reason === undefined) this.#deps.onResult?.('ok')
    else this.#lose(url, 'failed', reason)
  }

  #lose(url: string, result: NotifyResult, reason: string): void {
    this.#deps.log.warn({ webhook: receiverOf(url).host, err: reason }, 'a webhook was told in vain')
    this.#deps.onResult?.(result)
  }

  /** What is under way is tried no further. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all(this.#pending)
  }
}
