import { readFile } from 'node:fs/promises'
import { GatewayError } from '../core/errors.ts'
import type { EtcdTransport } from './transport.ts'
import { isAuthOff, readRefusal, refusalError } from './wire.ts'

/** As whom. */
export interface EtcdUser {
  /** Undefined = as nobody. */
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** Wins over `password`; read at each login, so that a rotated password is taken. */
  readonly passwordFile?: string | undefined
}

/** The token of a login, got when it is needed. Members forget tokens after some minutes, and when they restart. */
export class EtcdLogin {
  readonly #user: EtcdUser
  readonly #transport: EtcdTransport
  /** '' = etcd asks for none. */
  #token: string | undefined
  #pending: Promise<void> | undefined

  constructor(user: EtcdUser, transport: EtcdTransport) {
    this.#user = user
    this.#transport = transport
  }

  get isNeeded(): boolean {
    return this.#user.username !== undefined
  }

  /** Undefined = none is needed. Throws GW_REGISTRY_ACL, _UNREACHABLE, _TIMEOUT. */
  async token(endpoint: string, timeoutMs: number): Promise<string | undefined> {
    if (!this.isNeeded) return undefined
    if (this.#token === undefined) {
      // One login for all who wait for it; so without the signal of any.
      this.#pending ??= this.#authenticate(endpoint, timeoutMs).finally(() => {
        this.#pending = undefined
      })
      await this.#pending
    }
    return this.#token === '' ? undefined : this.#token
  }

  /** This token was refused; another one may be there already. */
  forget(token: string | undefined): void {
    if ((this.#token ?? '') === (token ?? '')) this.#token = undefined
  }

  async #authenticate(endpoint: string, timeoutMs: number): Promise<void> {
    const { username, password = '', passwordFile } = this.#user
    const secret = passwordFile === undefined ? password : await readSecret(passwordFile)
    const body = { name: username, password: secret }
    const post = { endpoint, path: '/auth/authenticate', body, token: undefined }
    const { status, text } = await this.#transport.post(post, timeoutMs)
    if (status === 200) {
      this.#token = (parseAnswer(endpoint, text) as { token?: string }).token ?? ''
      return
    }
    const refusal = readRefusal(status, text)
    if (!isAuthOff(refusal)) throw refusalError(refusal, `login of ${username}`)
    this.#token = ''
  }
}

/** The JSON of an answer. Throws GW_REGISTRY_ANSWER. */
export function parseAnswer(endpoint: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new GatewayError('GW_REGISTRY_ANSWER', `${endpoint} answered with something that is no JSON`, {
      cause,
    })
  }
}

async function readSecret(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch (cause) {
    throw new GatewayError('GW_REGISTRY_ACL', `the password file ${file} cannot be read`, { cause })
  }
}
