import { hash as digestOf, randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../core/duration.ts'
import { GatewayError } from '../core/errors.ts'
import type { BcryptThread } from './bcrypt-thread.ts'
import { BCRYPT_BYTES, type PasswordHash, verifyScrypt } from './password-hash.ts'

export interface PasswordCheckOptions {
  /** Hashes worked on at a time. */
  readonly concurrency: number
  /** Requests that may wait for that; more: GW_AUTH_BUSY. */
  readonly maxWaiting: number
  /** A verified password is believed for this long without its hash. ms; 0 = never. */
  readonly cacheMs: number
  readonly clock: Clock
  readonly bcrypt: Pick<BcryptThread, 'verify'>
}

/** Passwords remembered at a time. */
const MAX_VERIFIED = 10_000

/**
 * Checks passwords at a bounded cost: a few hashes at a time, a bounded queue, each password once for all requests
 * that come with it, and what was right is remembered for a while, as a keyed digest that means nothing outside of
 * this process.
 */
export class PasswordCheck {
  readonly #options: PasswordCheckOptions
  readonly #secret = randomBytes(32).toString('base64')
  /** Until when. Monotonic ms. */
  readonly #verified = new LRUCache<string, number>({ max: MAX_VERIFIED })
  readonly #running = new Map<string, Promise<boolean>>()
  readonly #queue: (() => void)[] = []
  #active = 0

  constructor(options: PasswordCheckOptions) {
    this.#options = options
  }

  /** Forgets what was verified: passwords may have changed. */
  forget(): void {
    this.#verified.clear()
  }

  /**
   * Whether the password has this hash. The hash is part of what is remembered: a changed one is checked anew.
   * A promise unless it is remembered, which only `known` users are: of a decoy's hash nothing may be learned. Rejects
   * with GW_AUTH_BUSY, GW_AUTH_UNAVAILABLE.
   */
  verify(user: string, password: string, hash: PasswordHash, isKnown = true): true | Promise<boolean> {
    const digest = this.#digest(user, password, hash)
    const until = this.#verified.get(digest)
    if (until !== undefined && this.#options.clock.monotonic() < until) return true
    const running = this.#running.get(digest)
    if (running !== undefined) return running
    const { concurrency, maxWaiting } = this.#options
    if (this.#active >= concurrency && this.#queue.length >= maxWaiting) {
      return Promise.reject(new GatewayError('GW_AUTH_BUSY'))
    }
    const check = this.#check(password, hash, isKnown ? digest : undefined).finally(() =>
      this.#running.delete(digest),
    )
    this.#running.set(digest, check)
    return check
  }

  /** Some hash of the list, always the same for the same name: what an unknown user costs. */
  decoyFor<T>(user: string, among: readonly T[]): T | undefined {
    const digest = digestOf('sha256', this.#secret + user, 'buffer')
    return among[digest.readUInt32BE(0) % Math.max(1, among.length)]
  }

  #digest(user: string, password: string, hash: PasswordHash): string {
    const stored = hash.kind === 'bcrypt' ? hash.text : hash.key.toString('base64')
    // Neither name nor password holds a NUL. Digests never leave this object: a key in front is as good as an HMAC here,
    // at a fifth of its cost.
    return digestOf('sha256', `${this.#secret}${user}\0${password}\0${stored}`, 'base64')
  }

  async #check(password: string, hash: PasswordHash, digest: string | undefined): Promise<boolean> {
    if (this.#active >= this.#options.concurrency) {
      await new Promise<void>((resolve) => this.#queue.push(resolve))
    } else {
      this.#active++
    }
    try {
      const isRight = await this.#compare(password, hash)
      const { cacheMs, clock } = this.#options
      if (isRight && digest !== undefined && cacheMs > 0)
        this.#verified.set(digest, clock.monotonic() + cacheMs)
      return isRight
    } finally {
      // The next one takes over the place.
      const next = this.#queue.shift()
      if (next === undefined) this.#active--
      else next()
    }
  }

  async #compare(password: string, hash: PasswordHash): Promise<boolean> {
    if (hash.kind === 'scrypt') return verifyScrypt(password, hash)
    const isRight = await this.#options.bcrypt.verify(password, hash.text)
    // Bcrypt itself would not see what comes after; checked anyway, so that it takes as long.
    return isRight && Buffer.byteLength(password) <= BCRYPT_BYTES
  }
}
