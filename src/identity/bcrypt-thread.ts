import { Worker } from 'node:worker_threads'
import { GatewayError } from '../core/errors.ts'

interface Waiting {
  resolve(isRight: boolean): void
  reject(error: GatewayError): void
}

/** Checks bcrypt hashes in a thread of its own, started at the first one. A thread that died is started again. */
export class BcryptThread {
  readonly #waiting = new Map<number, Waiting>()
  #worker: Worker | undefined
  #lastId = 0

  /** Rejects with GW_AUTH_UNAVAILABLE when the thread fails. */
  verify(password: string, hash: string): Promise<boolean> {
    const id = ++this.#lastId
    return new Promise((resolve, reject) => {
      this.#worker ??= this.#start()
      this.#waiting.set(id, { resolve, reject })
      this.#worker.postMessage({ id, password, hash })
    })
  }

  #start(): Worker {
    // Not what the process itself was started with: a watcher or a debugger has no business there.
    const worker = new Worker(new URL('./bcrypt-worker.ts', import.meta.url), { execArgv: [], env: {} })
    worker.unref()
    worker.on('message', ({ id, isRight, isFailed }: { id: number; isRight: boolean; isFailed: boolean }) => {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (isFailed) waiting?.reject(new GatewayError('GW_AUTH_UNAVAILABLE', 'bcrypt cannot read a hash'))
      else waiting?.resolve(isRight)
    })
    const gone = (cause?: unknown) => {
      if (this.#worker === worker) this.#worker = undefined
      const error = new GatewayError('GW_AUTH_UNAVAILABLE', 'the bcrypt thread ended', { cause })
      for (const { reject } of this.#waiting.values()) reject(error)
      this.#waiting.clear()
    }
    worker.on('error', gone)
    worker.on('exit', () => gone())
    return worker
  }

  close(): void {
    void this.#worker?.terminate()
  }
}
