import { EventEmitter } from 'node:events'
import type { Readable } from 'node:stream'
import type { BodyTap } from './exchange.ts'

/** What a source tells the exchange. */
export interface BodyWatcher {
  /** The client sent nothing for `idleMs` while the instance was ready to take more. */
  onIdle(): void
  /** The client's stream broke off. */
  onBroken(): void
}

/**
 * A streamed request body over all tries: what was sent is kept up to `replayBytes`, so that it can be sent
 * again. Undici destroys the body stream that it is given when a try ends; for a server's request that
 * would cut the client off, so it gets a `BodyFeed` instead and the stream itself is only listened to.
 */
export class BodySource {
  readonly #stream: Readable
  readonly #replayBytes: number
  readonly #idleMs: number
  readonly #watcher: BodyWatcher
  readonly #tap: BodyTap | undefined
  #kept: Buffer[] | undefined = []
  #bytesRead = 0
  #hasEnded = false
  #isListening = false
  #feed: BodyFeed | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(stream: Readable, replayBytes: number, idleMs: number, watcher: BodyWatcher, tap?: BodyTap) {
    this.#stream = stream
    this.#replayBytes = replayBytes
    this.#idleMs = idleMs
    this.#watcher = watcher
    this.#tap = tap
    stream.on('error', this.#onError)
  }

  /** Bytes that came from the client. */
  get bytesRead(): number {
    return this.#bytesRead
  }

  /** Another try can send the whole body. */
  get canReplay(): boolean {
    return this.#kept !== undefined
  }

  /** The body for one try; an earlier feed falls silent. */
  open(): BodyFeed {
    const feed = new BodyFeed(this)
    this.#feed = feed
    return feed
  }

  /** Plays what was kept to a new feed, then goes on with the stream. */
  resume(feed: BodyFeed, isFirst: boolean): void {
    if (feed !== this.#feed) return
    if (isFirst && this.#bytesRead > 0) {
      // Undici finishes listening after its first resume: an `end` within it would be overheard.
      queueMicrotask(() => this.#replay(feed))
      return
    }
    this.#flow()
  }

  #replay(feed: BodyFeed): void {
    if (feed !== this.#feed) return
    for (const chunk of this.#kept ?? []) feed.emit('data', chunk)
    if (this.#hasEnded) feed.emit('end')
    else this.#flow()
  }

  #flow(): void {
    if (this.#hasEnded) return
    if (!this.#isListening) {
      this.#isListening = true
      this.#stream.on('data', this.#onData).on('end', this.#onEnd).on('close', this.#onClose)
      if (this.#stream.readableEnded) queueMicrotask(this.#onEnd)
    }
    this.#stream.resume()
    this.#watchIdle()
  }

  pause(feed: BodyFeed): void {
    if (feed !== this.#feed) return
    this.#stream.pause()
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** A try is over: the stream waits for the next one or for the server to throw it away. */
  detach(feed: BodyFeed): void {
    if (feed !== this.#feed) return
    this.pause(feed)
    this.#feed = undefined
  }

  /** The exchange is over: takes all listeners off. */
  close(): void {
    clearTimeout(this.#timer)
    this.#feed = undefined
    this.#kept = undefined
    this.#stream.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onClose)
    this.#stream.off('error', this.#onError)
  }

  #watchIdle(): void {
    if (this.#idleMs === 0) return
    if (this.#timer === undefined) {
      this.#timer = setTimeout(() => this.#watcher.onIdle(), this.#idleMs)
    } else {
      this.#timer.refresh()
    }
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#bytesRead += chunk.length
    if (this.#kept !== undefined) {
      if (this.#bytesRead <= this.#replayBytes) this.#kept.push(chunk)
      else this.#kept = undefined
    }
    this.#timer?.refresh()
    this.#feed?.emit('data', chunk)
    this.#tap?.data(chunk)
  }

  readonly #onEnd = (): void => {
    if (this.#hasEnded) return
    this.#hasEnded = true
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#feed?.emit('end')
    this.#tap?.end()
  }

  readonly #onError = (): void => {
    clearTimeout(this.#timer)
    this.#watcher.onBroken()
  }

  readonly #onClose = (): void => {
    // Without this a client that leaves in silence would look like one that is slow.
    if (!this.#hasEnded && this.#stream.errored === null) {
      this.#watcher.onBroken()
    }
  }
}

/** As much of a stream as undici's writer needs. */
export class BodyFeed extends EventEmitter {
  readonly #source: BodySource
  #hasStarted = false
  destroyed = false

  constructor(source: BodySource) {
    super()
    this.#source = source
  }

  resume(): this {
    const isFirst = !this.#hasStarted
    this.#hasStarted = true
    if (!this.destroyed) this.#source.resume(this, isFirst)
    return this
  }

  pause(): this {
    if (!this.destroyed) this.#source.pause(this)
    return this
  }

  destroy(): this {
    if (!this.destroyed) {
      this.destroyed = true
      this.#source.detach(this)
      this.emit('close')
    }
    return this
  }

  /** Its presence is how undici knows a stream; it never pipes. */
  pipe<T>(to: T): T {
    return to
  }
}
