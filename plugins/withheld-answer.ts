import type { BodyCheck, FilterReply } from '../src/filters/filter.ts'

/** Where a withheld answer goes when it may go on. */
export interface AnswerOutlet {
  /** Sends the head; then the body may come. */
  open(): void
  /** False = wait for `onDrain`. */
  write(chunk: Buffer): boolean
  onDrain(resume: () => void): void
}

/** The beginning of an answer that filters want to judge before the client sees any of it. */
export class WithheldAnswer {
  readonly #checks: readonly BodyCheck[]
  readonly #limit: number
  readonly #outlet: AnswerOutlet
  #held: Buffer[] = []
  #size = 0
  #isJudging = false
  #isDropped = false
  #resume: (() => void) | undefined
  #settle!: () => void
  /** Resolves when it went on, was refused or dropped. */
  readonly settled: Promise<void>
  isSettled = false
  /** What the client gets instead. */
  refusal: FilterReply | undefined

  constructor(checks: readonly BodyCheck[], outlet: AnswerOutlet) {
    this.#checks = checks
    this.#limit = Math.max(...checks.map(({ maxBytes }) => maxBytes))
    this.#outlet = outlet
    this.settled = new Promise((resolve) => {
      this.#settle = resolve
    })
  }

  /** False = wait for `onDrain`. */
  write(chunk: Buffer): boolean {
    this.#held.push(chunk)
    this.#size += chunk.length
    if (this.#size < this.#limit) return true
    void this.#judge(false)
    return false
  }

  /** The body is complete. */
  end(): void {
    void this.#judge(true)
  }

  onDrain(resume: () => void): void {
    this.#resume = resume
  }

  /** The upstream broke or the client left: nobody needs a verdict. */
  drop(): void {
    this.#isDropped = true
    this.#done()
  }

  #done(): void {
    this.isSettled = true
    this.#held = []
    this.#settle()
  }

  async #judge(isEnd: boolean): Promise<void> {
    if (this.#isJudging) return
    this.#isJudging = true
    const all = Buffer.concat(this.#held)
    for (const { maxBytes, judge } of this.#checks) {
      const isWhole = isEnd && all.length <= maxBytes
      const reply = await judge(all.length > maxBytes ? all.subarray(0, maxBytes) : all, isWhole)
      if (this.#isDropped) return
      if (reply === undefined) continue
      this.refusal = reply
      this.#done()
      return
    }
    try {
      this.#release()
    } catch {
      // A head that cannot be sent: whoever waits for `settled` sees that nothing was.
      this.#done()
    }
  }

  #release(): void {
    // What came while the filters judged is held, too.
    const held = this.#held
    this.isSettled = true
    this.#outlet.open()
    let canGoOn = true
    for (const chunk of held) canGoOn = this.#outlet.write(chunk)
    this.#done()
    if (this.#resume === undefined) return
    if (canGoOn) this.#resume()
    else this.#outlet.onDrain(this.#resume)
  }
}
