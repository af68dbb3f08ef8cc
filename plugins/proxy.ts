import type { Duplex } from 'node:stream'
import type { ClientRequest, ClientResponse } from '../src/proxy/client-side.ts'
import type { Listener, ProxyDeps } from './intake.ts'
import { RequestWalk } from './request-walk.ts'
import { Tunnels } from './tunnels.ts'

export type { Listener, ProxyDeps } from './intake.ts'

/** The data path of all listeners. */
export interface DataPath {
  /** What a listener calls for its requests. */
  handlers(listener: Listener): {
    onRequest(request: ClientRequest, response: ClientResponse, wantsContinue: boolean): void
    onUpgrade(request: ClientRequest, socket: Duplex, head: Buffer): void
  }
  readonly tunnels: Tunnels
}

/**
 * The walk of each request: table once → decide → inbound filters → pick and forward with retries →
 * outbound filters → one record. Nothing here waits for a registry.
 */
export function createProxy(given: ProxyDeps): DataPath {
  const deps = counting(given)
  const tunnels = new Tunnels(deps)
  return {
    tunnels,
    handlers: (listener) => ({
      onRequest: (request, response, wantsContinue) => {
        deps.overload?.begin()
        new RequestWalk(request, response, wantsContinue, listener, deps).start()
      },
      onUpgrade: (request, socket, head) => {
        deps.overload?.begin()
        tunnels.open(request, socket, head, listener)
      },
    }),
  }
}

/** What began is over with its record: each request and tunnel has just one. */
function counting(deps: ProxyDeps): ProxyDeps {
  const { overload, onRecord } = deps
  if (overload === undefined) return deps
  return {
    ...deps,
    onRecord(record) {
      overload.end()
      onRecord(record)
    },
  }
}
