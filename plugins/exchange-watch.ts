import type { Headers } from '../src/core/headers.ts'
import type { BodyTap, ForwardResult, RequestBody } from '../src/proxy/exchange.ts'
import type { Routed, Table } from '../src/routing/table.ts'

/**
 * Somebody who looks on at one exchange: gets copies, changes nothing, delays nothing, and does not throw. The answer is
 * the service's own, before filters and route edit it.
 */
export interface ExchangeWatch {
  /** Gets the request's body as it streams by. */
  readonly bodyTap?: BodyTap | undefined
  head(status: number, headers: Headers): void
  data(chunk: Buffer): void
  /** Once, when the exchange is over. `isWhole`: the answer came to its end. */
  over(result: ForwardResult, isWhole: boolean): void
}

/** What is going to be sent. */
export interface WatchedRequest {
  readonly routed: Routed
  readonly method: string
  /** As they go upstream; not to be changed. */
  readonly headers: Headers
  readonly clientHost: string
  readonly clientIp: string
  readonly table: Table | undefined
  readonly body: RequestBody
}

/** Decides for each request that goes upstream whether it is watched. Must be cheap. */
export type ExchangeWatcher = (request: WatchedRequest) => ExchangeWatch | undefined

/** Several watchers as one. */
export function watchAll(watchers: readonly ExchangeWatcher[]): ExchangeWatcher {
  return (request) => {
    let first: ExchangeWatch | undefined
    let all: ExchangeWatch[] | undefined
    for (const watcher of watchers) {
      const watch = watcher(request)
      if (watch === undefined) continue
      if (first === undefined) first = watch
      else all = [...(all ?? [first]), watch]
    }
    return all === undefined ? first : together(all)
  }
}

function together(watches: readonly ExchangeWatch[]): ExchangeWatch {
  const taps = watches.flatMap(({ bodyTap }) => (bodyTap === undefined ? [] : [bodyTap]))
  const bodyTap: BodyTap | undefined =
    taps.length === 0
      ? undefined
      : {
          data: (chunk) => {
            for (const tap of taps) tap.data(chunk)
          },
          end: () => {
            for (const tap of taps) tap.end()
          },
        }
  return {
    bodyTap,
    head: (status, headers) => {
      for (const watch of watches) watch.head(status, headers)
    },
    data: (chunk) => {
      for (const watch of watches) watch.data(chunk)
    },
    over: (result, isWhole) => {
      for (const watch of watches) watch.over(result, isWhole)
    },
  }
}
