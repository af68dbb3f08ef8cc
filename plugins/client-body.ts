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
  /** What was read of it for filters. */
  #read: Buffer[] = []
  #readBytes = 0
  #isWhole = false

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

  /** What goes upstream. `maxBytes` 0 = no limit. */
  source(maxBytes: number): RequestBody {
    if (this.#isWhole) return { kind: 'buffer', bytes: Buffer.concat(this.#read) }
    if (this.length === 0) return { kind: 'none' }
    if (this.#readBytes > 0) {
      this.#request.unshift(Buffer.concat(this.#read))
      this.#read = []
    }
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
   * Its beginning, until it is known whether more than `bytes` come; may be called again for more. Rejects with
   * GW_REQUEST_TIMEOUT after `idleMs` of silence (0 = never), with GW_UPSTREAM_RESET when the client leaves.
   */
  async read(bytes: number, idleMs: number): Promise<{ readonly bytes: Buffer; readonly isWhole: boolean }> {
    if (!this.#isWhole && this.#readBytes <= bytes) {
      this.#continue()
      const chunks: Buffer[] = []
      this.#isWhole = await readBody(this.#request, bytes - this.#readBytes, idleMs, chunks)
      this.#read.push(...chunks)
    }
    const all = Buffer.concat(this.#read)
    this.#read = [all]
    this.#readBytes = all.length
    return { bytes: all, isWhole: this.#isWhole }
  }

  /** A body that nobody reads would block the connection for the next request. */
  drop(): void {
    if (!this.#request.complete && !isHttp2(this.#request)) this.#request.resume()
  }
}

/** Reads until the end (true) or until more than `bytes` came (false). */
function readBody(request: ClientRequest, bytes: number, idleMs: number, chunks: Buffer[]): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let size = 0
    let timer: NodeJS.Timeout | undefined
    const stop = () => {
      clearTimeout(timer)
      request.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose)
    }
    const pause = () => {
      stop()
      request.pause()
    }
    const fail = (error: GatewayError) => {
      pause()
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
      chunks.push(chunk)
      if (size <= bytes) return
      pause()
      resolve(false)
    }
    const onEnd = () => {
      stop()
      resolve(true)
    }
    const onClose = () => fail(new GatewayError('GW_UPSTREAM_RESET', 'the client left'))
    arm()
    request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose)
    request.resume()
  })
}
