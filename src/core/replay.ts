/** A recorded request as whoever replays it sees it. */
export interface ReplayedRequest {
  /** ms since the epoch; never falls from one to the next. */
  readonly at: number
  readonly method: string
  /** Normalised. */
  readonly host: string
  readonly path: string
  /** `` or `?…`, with secrets redacted. */
  readonly query: string
  /** The route that took it. */
  readonly route: string
  /** Address of the client, or the first one of its network. */
  readonly clientIp: string
  /** Hash of the client's address (of an IPv6 address: of its /64); the same for the same client. */
  readonly clientKey: string
  /** `kind:hash` of who sent it; the same for the same sender. */
  readonly principal: string | undefined
  /** Recorded ones, by lower-case name. */
  header(name: string): string | undefined
}

/** Whether a filter would have refused a request; asked in order of time, so it may count. */
export type Replay = (request: ReplayedRequest) => boolean
