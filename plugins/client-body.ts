import { Transform } from 'node:stream'
import { GatewayError } from '../src/core/errors.ts'
import { type ClientRequest, type ClientResponse, isHttp2 } from '../src/proxy/client-side.ts'
import type { RequestBody } from '../src/proxy/exchange.ts'

export interface ClientBodyOptions {
  /** Declared; undefined = unknown, 0 = no body. Bytes. */
  readonly length: number | undefined
  /** The client waits for 100 before it sends. */
  readonly wantsContinue: boolean
  /** A body of unknown length went beyond its limit. */
  onOverLimit(): void
}

/** The client's side of one request's body. */
export class ClientBody {
  readonly length: number | undefined
  readonly #request: ClientRequest
  readonly #response: ClientResponse
  readonly #options: ClientBodyOptions
  #wantsContinue: boolean
  #isOverLimit = false

  constructor(request: ClientRequest, response: ClientResponse, options: ClientBodyOptions) {
    this.#request = request
    this.#response = response
    this.#options = options
    this.length = options.length
    this.#wantsContinue = options.wantsContinue
  }

  get isOverLimit(): boolean {
    return this.#isOverLimit
  }

  /** The client is (or will be) still sending. */
  get isUnread(): boolean {
    return !isHttp2(this.#request) && !this.#request.complete && this.length !== 0
  }

  /** The client was not told to send it. */
  get isHeldBack(): boolean {
    return this.#wantsContinue
  }

  /** What goes upstream. `maxBytes` 0 = no limit; `buffered`: it was read already. */
  source(maxBytes: number, buffered: Buffer | undefined): RequestBody {
    if (buffered !== undefined) return { kind: 'buffer', bytes: buffered }
    if (this.length === 0) return { kind: 'none' }
    this.#continue()
    if (this.length !== undefined || maxBytes === 0) {
      return { kind: 'stream', stream: this.#request, length: this.length }
    }
    return { kind: 'stream', stream: this.#counted(maxBytes), length: undefined }
  }

  /** A body of unknown length, cut off beyond the limit: the exchange ends and the client gets 413. */
  #counted(maxBytes: number): Transform {
    let left = maxBytes
    const counted = new Transform({
      transform: (chunk: Buffer, _, done) => {
        left -= chunk.length
        if (left >= 0) {
          done(null, chunk)
        } else if (!this.#isOverLimit) {
          this.#isOverLimit = true
          this.#request.unpipe(counted)
          this.#options.onOverLimit()
        }
      },
    })
    this.#request.on('error', () => counted.destroy())
    this.#request.on('aborted', () => counted.destroy())
    this.#request.pipe(counted)
    return counted
  }

  #continue(): void {
    if (!this.#wantsContinue) return
    this.#wantsContinue = false
    this.#response.writeContinue()
  }

  /**
   * The whole of it. Rejects with GW_REQUEST_BODY_TOO_LARGE beyond `limit` bytes, with GW_REQUEST_TIMEOUT after
   * `idleMs` of silence (0 = never), with GW_UPSTREAM_RESET when the client leaves.
   */
  readWhole(limit: number, idleMs: number): Promise<Buffer> {
    this.#continue()
    return readBody(this.#request, limit, idleMs)
  }

  /** A body that nobody reads would block the connection for the next request. */
  drop(): void {
    if (!this.#request.complete && !isHttp2(this.#request)) this.#request.resume()
  }
}

function readBody(request: ClientRequest, limit: number, idleMs: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    let timer: NodeJS.Timeout | undefined
    const stop = () => {
      clearTimeout(timer)
      request.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose)
    }
    const fail = (error: GatewayError) => {
      stop()
      request.pause()
      reject(error)
    }
    const arm = () => {
      if (idleMs === 0) return
      clearTimeout(timer)
      timer = setTimeout(() => fail(new GatewayError('GW_REQUEST_TIMEOUT')), idleMs)
    }
    const onData = (chunk: Buffer) => {
      arm()
      size += chunk.length
      if (size > limit) fail(new GatewayError('GW_REQUEST_BODY_TOO_LARGE'))
      else chunks.push(chunk)
    }
    const onEnd = () => {
      stop()
      resolve(Buffer.concat(chunks))
    }
    const onClose = () => fail(new GatewayError('GW_UPSTREAM_RESET', 'the client left'))
    arm()
    request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose)
  })
}
