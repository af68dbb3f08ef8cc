import { hash } from 'node:crypto'
import type { Random } from '../core/duration.ts'
import type { RequestRecord } from '../core/record.ts'
import { chosenCookies, clientOf, networkOf, redactTarget } from './redact.ts'

/** The static part `recorder` of the configuration. */
export interface RecorderOptions {
  /** Requests kept; 0 = off. */
  readonly size: number
  /** Bytes kept, about. */
  readonly bytes: number
  /** Share of the requests, 0 to 1. */
  readonly sample: number
  /** Lower-case names of headers that are kept as they are. */
  readonly headers: readonly string[]
  /** Names of cookies that are kept as they are. */
  readonly cookies: readonly string[]
  /** `network`: only the /24 or /48 of the client's address. */
  readonly client: 'network' | 'address'
}

/** What is known of a request when it comes in. */
export interface IncomingShape {
  readonly method: string
  readonly target: string
  readonly authority: string | undefined
  readonly headers: { get(name: string): string | undefined }
}

/** One request as it is remembered: enough to ask a table where it goes, and nothing that opens a door. */
export interface RecordedRequest {
  /** ms since the epoch. */
  readonly at: number
  readonly method: string
  readonly scheme: 'http' | 'https'
  readonly authority: string | undefined
  /** As received, with secrets redacted. */
  readonly target: string
  /** Chosen ones, `cookie` with chosen cookies. */
  readonly headers: Readonly<Record<string, string>>
  /** Address or the first address of its network. */
  readonly client: string
  /** Hash of the address (IPv6: of its /64); the same for the same client while the process lives. */
  readonly clientKey: string
  /** `kind:hash` of who sent it; the same for the same sender while the process lives. */
  readonly principal?: string
  readonly route?: string
  readonly service?: string
  readonly side?: string
  readonly status: number
}

/** Chosen headers of a request that is going to be remembered. */
export type ShapeDraft = Readonly<Record<string, string>>

const NO_HEADERS: ShapeDraft = Object.freeze({})
/** What an entry takes beside its texts, about. Bytes. */
const ENTRY_BYTES = 300
/** Clients whose hash is remembered. */
const MAX_CLIENTS = 4096
/** A longer target is cut: it is no use to anybody. */
const MAX_TARGET = 2048

/** A bounded ring of requests. Cheap enough for the request path. */
export class Recorder {
  readonly options: RecorderOptions
  readonly #random: Random
  readonly #salt: string
  readonly #cookies: ReadonlySet<string>
  readonly #clientKeys = new Map<string, string>()
  readonly #ring: (RecordedRequest | undefined)[]
  /** Where the oldest stands. */
  #start = 0
  #count = 0
  #bytes = 0

  /** `salt`: secret of this process. */
  constructor(options: RecorderOptions, deps: { readonly random: Random; readonly salt: string }) {
    this.options = options
    this.#random = deps.random
    this.#salt = deps.salt
    this.#cookies = new Set(options.cookies)
    this.#ring = new Array(options.size)
  }

  /** Requests kept. */
  get size(): number {
    return this.#count
  }

  /** About. */
  get bytes(): number {
    return this.#bytes
  }

  /** When a request comes in, before anybody edits its headers. Undefined = it is not remembered. */
  begin(incoming: IncomingShape): ShapeDraft | undefined {
    const { size, sample, headers } = this.options
    if (size === 0 || (sample < 1 && this.#random() >= sample)) return undefined
    if (headers.length === 0 && this.#cookies.size === 0) return NO_HEADERS
    const kept: Record<string, string> = {}
    for (const name of headers) {
      const value = incoming.headers.get(name)
      if (value !== undefined) kept[name] = value
    }
    const cookies = chosenCookies(incoming.headers.get('cookie'), this.#cookies)
    if (cookies !== undefined && kept['cookie'] === undefined) kept['cookie'] = cookies
    return kept
  }

  /** When it is over. */
  end(
    draft: ShapeDraft,
    { method, target, authority }: Omit<IncomingShape, 'headers'>,
    record: RequestRecord,
    side?: string,
  ): void {
    const { principal, route, service, clientIp, scheme, startedAt, status } = record
    this.#push({
      at: startedAt,
      method,
      scheme,
      authority,
      target: redactTarget(target.length > MAX_TARGET ? target.slice(0, MAX_TARGET) : target),
      headers: draft,
      client: this.options.client === 'network' ? networkOf(clientIp) : clientIp,
      clientKey: this.#clientKey(clientIp),
      status,
      ...(principal === undefined
        ? {}
        : { principal: `${principal.kind}:${this.#hashed(`${principal.kind}\n${principal.id}`)}` }),
      ...(route === undefined ? {} : { route }),
      ...(service === undefined ? {} : { service }),
      ...(side === undefined ? {} : { side }),
    })
  }

  /** The same clients send again and again, and a hash costs more than all the rest. */
  #clientKey(address: string): string {
    let key = this.#clientKeys.get(address)
    if (key === undefined) {
      key = this.#hashed(clientOf(address))
      if (this.#clientKeys.size >= MAX_CLIENTS) this.#clientKeys.clear()
      this.#clientKeys.set(address, key)
    }
    return key
  }

  #hashed(text: string): string {
    return hash('sha256', this.#salt + text, 'base64url').slice(0, 16)
  }

  #push(request: RecordedRequest): void {
    const { size, bytes } = this.options
    if (this.#count === size) this.#dropOldest()
    this.#ring[(this.#start + this.#count) % size] = request
    this.#count++
    this.#bytes += bytesOf(request)
    while (this.#bytes > bytes && this.#count > 0) this.#dropOldest()
  }

  #dropOldest(): void {
    const oldest = this.#ring[this.#start]
    this.#ring[this.#start] = undefined
    this.#start = (this.#start + 1) % this.options.size
    this.#count--
    if (oldest !== undefined) this.#bytes -= bytesOf(oldest)
  }

  /** A copy of what is kept, oldest first. */
  requests(): RecordedRequest[] {
    const all: RecordedRequest[] = []
    for (let i = 0; i < this.#count; i++) {
      all.push(this.#ring[(this.#start + i) % this.options.size] as RecordedRequest)
    }
    return all
  }
}

function bytesOf({ target, authority, headers }: RecordedRequest): number {
  let bytes = ENTRY_BYTES + target.length + (authority?.length ?? 0)
  if (headers === NO_HEADERS) return bytes
  for (const name in headers) bytes += name.length + (headers[name] as string).length
  return bytes
}
