import { WebSocket } from 'undici'
import type { SendContext } from './http-request.ts'
import type { Failure } from './outcome.ts'
import type { RequestSpec } from './plan.ts'

/** One conversation: opens, sends each message when the one before came back, and closes with 1000. */
class Conversation {
  readonly #spec: RequestSpec
  readonly #id: string
  readonly #socket: WebSocket
  readonly #timeoutMs: number
  readonly #done: (failure: Failure | undefined) => void
  #echoes = 0
  #isOpen = false
  #deadline: NodeJS.Timeout | undefined
  #next: NodeJS.Timeout | undefined
  #error: string | undefined

  constructor(spec: RequestSpec, id: string, context: SendContext, done: (failure?: Failure) => void) {
    this.#spec = spec
    this.#id = id
    this.#timeoutMs = context.timeoutMs
    this.#done = done
    this.#socket = new WebSocket(context.target.replace(/^http/, 'ws') + spec.path, {
      dispatcher: context.dispatcher,
      headers: { ...spec.headers, 'x-rollcheck-id': id },
    })
    this.#wait('no answer to the upgrade')
    this.#socket.addEventListener('open', () => {
      this.#isOpen = true
      this.#send()
    })
    this.#socket.addEventListener('message', ({ data }) => this.#onMessage(data))
    this.#socket.addEventListener('error', (event) => {
      this.#error = event.message === '' ? 'the connection failed' : event.message
      // Before it is open no close event need follow.
      if (!this.#isOpen) this.#end({ loss: 'no-answer', error: this.#error })
    })
    this.#socket.addEventListener('close', ({ code, reason, wasClean }) => {
      if (wasClean && code === 1000 && this.#echoes === spec.messages) return this.#end(undefined)
      const said = reason === '' ? '' : ` "${reason}"`
      this.#fail(`closed with ${code}${said}${this.#error === undefined ? '' : `: ${this.#error}`}`)
    })
  }

  #send(): void {
    this.#wait('an echo is missing')
    this.#socket.send(`${this.#id} ${this.#echoes}`)
  }

  #onMessage(data: unknown): void {
    if (data !== `${this.#id} ${this.#echoes}`) {
      this.#fail(`"${String(data).slice(0, 60)}" is no echo`)
      return
    }
    this.#echoes++
    const isLast = this.#echoes === this.#spec.messages
    this.#wait(isLast ? 'no answer to the close' : 'an echo is missing')
    this.#next = setTimeout(() => {
      if (this.#socket.readyState !== WebSocket.OPEN) return
      if (isLast) this.#socket.close(1000)
      else this.#send()
    }, this.#spec.intervalMs)
  }

  #wait(what: string): void {
    clearTimeout(this.#deadline)
    this.#deadline = setTimeout(() => this.#fail(`${what} for ${this.#timeoutMs} ms`), this.#timeoutMs)
  }

  #fail(error: string): void {
    const after = `after ${this.#echoes} of ${this.#spec.messages} messages: ${error}`
    this.#end(this.#isOpen ? { loss: 'cut', status: 101, error: after } : { loss: 'no-answer', error })
  }

  #end(failure: Failure | undefined): void {
    clearTimeout(this.#deadline)
    clearTimeout(this.#next)
    if (failure !== undefined && this.#socket.readyState < WebSocket.CLOSING) this.#socket.close()
    this.#done(failure)
  }
}

/** Holds one conversation of echoes. Undefined = every message came back and both sides closed cleanly. */
export function talk(spec: RequestSpec, id: string, context: SendContext): Promise<Failure | undefined> {
  return new Promise((resolve) => {
    new Conversation(spec, id, context, resolve)
  })
}
