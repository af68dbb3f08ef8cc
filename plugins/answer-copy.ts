import type { Headers } from '../src/core/headers.ts'
import type { Answer } from '../src/mirror/compare.ts'
import { decodeBody } from '../src/mirror/decode.ts'

/** What was sent to a client, as far as somebody wants to look at it later: a copy of its beginning. */
export class AnswerCopy {
  readonly #maxBytes: number
  #status = 0
  #headers: Headers | undefined
  #chunks: Buffer[] | undefined = []
  #bytes = 0

  /** A body beyond `maxBytes` is not kept. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get status(): number {
    return this.#status
  }

  get headers(): Headers | undefined {
    return this.#headers
  }

  /** The filters and the route edit the headers later. */
  head(status: number, headers: Headers): void {
    this.#status = status
    this.#headers = headers.clone()
  }

  data(chunk: Buffer): void {
    if (this.#chunks === undefined) return
    this.#bytes += chunk.length
    if (this.#bytes <= this.#maxBytes) this.#chunks.push(chunk)
    else this.#chunks = undefined
  }

  /** Nobody wants to see it any more. */
  drop(): void {
    this.#chunks = undefined
  }

  /** The body, when all of it was kept. */
  body(): Buffer | undefined {
    return this.#chunks === undefined ? undefined : Buffer.concat(this.#chunks)
  }
}

/** An answer as it is compared: headers as a map, the body without its coding. */
export async function toAnswer(
  { status, headers, body }: { status: number; headers: Headers; body: Buffer | undefined },
  maxBytes: number,
): Promise<Answer> {
  const fields = new Map<string, string>()
  for (const name of headers.names()) if (!fields.has(name)) fields.set(name, headers.get(name) ?? '')
  const coding = headers.get('content-encoding')
  return {
    status,
    headers: fields,
    body: body === undefined ? undefined : await decodeBody(body, coding, maxBytes),
  }
}
