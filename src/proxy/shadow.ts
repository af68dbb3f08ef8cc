import type { Dispatcher, Pool } from 'undici'
import { GatewayError } from '../core/errors.ts'
import type { Headers } from '../core/headers.ts'
import type { ServicePolicy } from '../core/route.ts'
import type { Instance } from '../core/types.ts'
import type { Table } from '../routing/table.ts'
import { cleanResponseHeaders, headersFromUpstream } from './hop-headers.ts'
import { createPool, poolSignature } from './transport.ts'

/** One copy to send. */
export interface ShadowRequest {
  readonly method: string
  readonly path: string
  /** name, value, name, value … */
  readonly fields: string[]
  readonly serverName: string | undefined
  readonly body: Buffer | undefined
  /** The whole exchange. ms. */
  readonly timeoutMs: number
  /** So much of the answer's body is kept; what is longer is broken off. Bytes; 0 = nothing is kept. */
  readonly keepBytes: number
}

/** What came of it. */
export type ShadowResult =
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly headers: Headers
      /** Undefined = longer than `keepBytes`. */
      readonly body: Buffer | undefined
    }
  | { readonly kind: 'timeout' | 'error' }

/** An answer that nobody keeps is read so far, to use its socket again. Bytes. */
const DISCARD_BYTES = 64 * 1024

/** One exchange with a mirror: no retries, no record, nobody waits for it. */
class ShadowExchange implements Dispatcher.DispatchHandler {
  readonly #request: ShadowRequest
  readonly #resolve: (result: ShadowResult) => void
  readonly #timer: NodeJS.Timeout
  #controller: Dispatcher.DispatchController | undefined
  #head: { readonly status: number; readonly headers: Headers } | undefined
  #chunks: Buffer[] = []
  #bytes = 0
  #isOver = false

  constructor(request: ShadowRequest, resolve: (result: ShadowResult) => void) {
    this.#request = request
    this.#resolve = resolve
    this.#timer = setTimeout(() => this.#end({ kind: 'timeout' }, true), request.timeoutMs)
    this.#timer.unref()
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#isOver) controller.abort(dropped())
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (this.#isOver || status < 200) return
    const headers = headersFromUpstream(controller.rawHeaders)
    cleanResponseHeaders(headers)
    this.#head = { status, headers }
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isOver) return
    const { keepBytes } = this.#request
    this.#bytes += chunk.length
    if (this.#bytes <= keepBytes) this.#chunks.push(chunk)
    if (this.#bytes > Math.max(keepBytes, DISCARD_BYTES)) this.#finish(true)
  }

  onResponseEnd(): void {
    this.#finish(false)
  }

  onResponseError(): void {
    this.#end({ kind: 'error' }, false)
  }

  #finish(isCut: boolean): void {
    const head = this.#head
    if (head === undefined) return
    const isWhole = !isCut && this.#bytes <= this.#request.keepBytes
    this.#end({ kind: 'answer', ...head, body: isWhole ? Buffer.concat(this.#chunks) : undefined }, isCut)
  }

  #end(result: ShadowResult, mustAbort: boolean): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#chunks = []
    clearTimeout(this.#timer)
    if (mustAbort) this.#controller?.abort(dropped())
    this.#resolve(result)
  }
}

const dropped = (): GatewayError => new GatewayError('GW_UPSTREAM_RESET', 'dropped by the mirror')

interface Kept {
  readonly pool: Pool
  readonly signature: string
}

/**
 * Sockets for copies, apart from those of clients: a slow mirror must not take a connection that a request of a client
 * waits for. Keyed by instance.
 */
export class ShadowPools {
  readonly #pools = new Map<string, Kept>()

  /** Sends one copy. `sockets`: to one instance at most. Never rejects. */
  send(
    instance: Instance,
    policy: ServicePolicy,
    sockets: number,
    request: ShadowRequest,
  ): Promise<ShadowResult> {
    return new Promise((resolve) => {
      const exchange = new ShadowExchange(request, resolve)
      const { method, path, fields, body, serverName, timeoutMs } = request
      const options = {
        method,
        path,
        headers: fields,
        body: body ?? null,
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
        servername: instance.scheme === 'https' ? (serverName ?? null) : null,
      }
      try {
        this.#pool(instance, { ...policy, maxConnections: sockets }).dispatch(
          options as Dispatcher.DispatchOptions,
          exchange,
        )
      } catch {
        exchange.onResponseError()
      }
    })
  }

  #pool(instance: Instance, policy: ServicePolicy): Pool {
    const signature = poolSignature(instance, policy)
    const known = this.#pools.get(instance.key)
    if (known?.signature === signature) return known.pool
    if (known !== undefined) known.pool.close(() => {})
    const pool = createPool(instance, policy)
    this.#pools.set(instance.key, { pool, signature })
    return pool
  }

  /** Closes the sockets to instances that are gone. */
  keepOnly(table: Table): void {
    if (this.#pools.size === 0) return
    const left = new Set(this.#pools.keys())
    for (const { instances } of table.services.values()) for (const { key } of instances) left.delete(key)
    for (const key of left) {
      this.#pools.get(key)?.pool.close(() => {})
      this.#pools.delete(key)
    }
  }

  /** Breaks everything off. */
  async close(): Promise<void> {
    const pools = [...this.#pools.values()].map(({ pool }) => pool.destroy())
    this.#pools.clear()
    await Promise.allSettled(pools)
  }
}
