import type { Transform, Writable } from 'node:stream'
import { errorText } from '../src/core/errors.ts'
import type { Headers } from '../src/core/headers.ts'
import {
  breakOff,
  type ClientRequest,
  type ClientResponse,
  isHttp2,
  writeHead,
  writeInformational,
} from '../src/proxy/client-side.ts'
import type { Intake, ProxyDeps } from './intake.ts'
import { applyEdits } from './local-answer.ts'
import type { Tracing } from './tracing.ts'

/** How long a client may go on sending a body nobody wants, so that it can read our answer. ms, bytes. */
const LINGER_MS = 2000
const LINGER_BYTES = 1024 * 1024

/** A body up to this size goes out as one text with its headers; beyond it copying costs more than it saves. Bytes. */
const ONE_WRITE_BYTES = 8192

/** The client's side of one answer: head, body through transforms, end; over HTTP/1.1 or HTTP/2. */
export class ClientAnswer {
  readonly #request: ClientRequest
  readonly #response: ClientResponse
  readonly #intake: Intake
  readonly #deps: ProxyDeps
  /** Told of the head before it goes out. */
  readonly #trace: Tracing | undefined
  /** Where the body is written: the client, or the first transform. */
  #out: Writable
  /** What comes now comes together with the headers. */
  #isFresh = false
  /** A first piece of body that waits for the end of its turn. */
  #held: Buffer | undefined
  status = 0
  /** Of the body, before transforms. */
  bytesOut = 0

  constructor(
    request: ClientRequest,
    response: ClientResponse,
    intake: Intake,
    deps: ProxyDeps,
    trace?: Tracing,
  ) {
    this.#trace = trace
    this.#request = request
    this.#response = response
    this.#intake = intake
    this.#deps = deps
    this.#out = response as unknown as Writable
  }

  get hasHead(): boolean {
    return this.#response.headersSent
  }

  /** The client is no longer there. */
  get isGone(): boolean {
    return this.#response.destroyed
  }

  informational(status: number, headers: Headers): void {
    writeInformational(this.#response, status, headers)
  }

  /** Route edits, connection management, status line and headers. Throws when a value cannot be sent. */
  head(status: number, headers: Headers): void {
    this.status = status
    const { decision } = this.#intake
    if (decision.kind === 'route') applyEdits(headers, decision.route.spec.responseHeaders)
    this.#trace?.answering(status, headers)
    if (!isHttp2(this.#response) && this.#deps.isDraining()) headers.set('connection', 'close')
    writeHead(this.#response, status, headers)
  }

  /**
   * Headers and a short body that come together go out in one write. An event stream may be silent for long: what
   * did not come together with the headers is not waited for.
   */
  flushSoon(): void {
    const response = this.#response
    if (isHttp2(response)) return
    this.#isFresh = true
    queueMicrotask(() => {
      if (!this.#isFresh || response.destroyed) return
      if (this.#held === undefined) response.flushHeaders()
      this.#release()
    })
  }

  #release(): void {
    const held = this.#held
    this.#isFresh = false
    this.#held = undefined
    if (held !== undefined) this.#out.write(held)
  }

  /** The body goes through these, in this order. */
  through(transforms: readonly Transform[]): void {
    const [first] = transforms
    if (first === undefined) return
    let last: Transform = first
    for (const transform of transforms) {
      transform.on('error', (error) => {
        const fields = { requestId: this.#intake.requestId, err: errorText(error) }
        this.#deps.log.warn(fields, 'an answer was broken off by a filter')
        breakOff(this.#response)
      })
      if (transform !== first) {
        last.pipe(transform)
        last = transform
      }
    }
    last.pipe(this.#response as unknown as Writable)
    this.#out = first
  }

  /** False = wait for `onDrain`. */
  write(chunk: Buffer): boolean {
    this.bytesOut += chunk.length
    const isFirst = this.#isFresh && this.#held === undefined
    if (isFirst && chunk.length <= ONE_WRITE_BYTES && this.#out === this.#response) {
      this.#held = chunk
      return true
    }
    if (this.#isFresh) this.#release()
    return this.#out.write(chunk)
  }

  onDrain(resume: () => void): void {
    this.#out.once('drain', resume)
  }

  end(trailers: Headers | undefined): void {
    if (trailers !== undefined) this.#response.addTrailers(trailerObject(trailers))
    const held = this.#held
    this.#isFresh = false
    this.#held = undefined
    // Node joins texts, but writes a buffer apart from the headers: that takes a list of pieces and more memory.
    if (held === undefined) this.#out.end()
    else this.#out.end(held.toString('latin1'), 'latin1')
  }

  /**
   * A whole answer of the gateway itself. `isUnread`: the client is still sending; a socket closed with unread
   * bytes is reset, and the client never sees the answer: so we read on for a while.
   */
  local(status: number, headers: Headers, body: Buffer | undefined, isUnread: boolean): void {
    try {
      this.head(status, headers)
    } catch (thrown) {
      this.#deps.log.warn({ requestId: this.#intake.requestId, err: errorText(thrown) }, 'an answer failed')
      this.status = 500
      this.#response.statusCode = 500
    }
    this.bytesOut = body?.length ?? 0
    if (isUnread) this.#linger(body)
    else this.#out.end(body)
  }

  #linger(body: Buffer | undefined): void {
    this.#out.write(body ?? '')
    let left = LINGER_BYTES
    const end = () => {
      clearTimeout(timer)
      this.#response.end()
    }
    const timer = setTimeout(end, LINGER_MS)
    this.#request.on('data', (chunk: Buffer) => {
      left -= chunk.length
      if (left < 0) end()
    })
    this.#request.on('end', end).on('close', end).on('error', end)
    this.#request.resume()
  }

  /** Breaks it off so that the client cannot take it for complete. */
  breakOff(): void {
    breakOff(this.#response)
  }
}

function trailerObject(trailers: Headers): Record<string, string> {
  const object: Record<string, string> = {}
  for (const name of trailers.names()) object[name] = trailers.get(name) ?? ''
  return object
}
