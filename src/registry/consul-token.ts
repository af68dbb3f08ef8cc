import { readFile, stat } from 'node:fs/promises'
import { GatewayError } from '../core/errors.ts'

/** Where an ACL token comes from; the file wins. */
export interface TokenPlace {
  readonly token?: string | undefined
  readonly tokenFile?: string | undefined
}

/** An ACL token that may be replaced while we run. */
export class TokenSource {
  readonly #place: TokenPlace
  #token: string | undefined
  #stamp: string | undefined
  #changed = new AbortController()

  constructor(place: TokenPlace) {
    this.#place = place
    this.#token = place.token
  }

  /** Aborts when another token was read from the file; then there is a new signal. */
  get changed(): AbortSignal {
    return this.#changed.signal
  }

  /** Undefined (no file and no token, or an empty file) = anonymous. Throws GW_REGISTRY_ACL when the file cannot be read. */
  async read(): Promise<string | undefined> {
    await this.refresh()
    return this.#token === '' ? undefined : this.#token
  }

  /** The next read looks into the file, whatever its date says. */
  forget(): void {
    this.#stamp = undefined
  }

  /** Reads the file when it changed. Throws GW_REGISTRY_ACL. */
  async refresh(): Promise<void> {
    const { tokenFile } = this.#place
    if (tokenFile === undefined) return
    try {
      const { mtimeMs, size, ino } = await stat(tokenFile)
      const stamp = `${mtimeMs} ${size} ${ino}`
      if (stamp === this.#stamp) return
      const token = (await readFile(tokenFile, 'utf8')).trim()
      this.#stamp = stamp
      if (token === this.#token) return
      const isFirst = this.#token === undefined
      this.#token = token
      if (isFirst) return
      const old = this.#changed
      this.#changed = new AbortController()
      old.abort()
    } catch (cause) {
      throw new GatewayError('GW_REGISTRY_ACL', `the token file ${tokenFile} cannot be read`, { cause })
    }
  }
}
