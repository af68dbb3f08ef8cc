import type { IncomingMessage, ServerResponse } from 'node:http'
import { httpServer } from './scripted-server.ts'
import { jwksOf, type TokenKey } from './tokens.ts'

/** An issuer's web server. */
export interface Issuer {
  readonly port: number
  readonly jwksUrl: string
  /** Requests for the keys so far. */
  fetches(): number
  /** What it answers for the keys from now on. */
  publish(...keys: readonly TokenKey[]): void
  /** Takes over the whole answer; undefined = as usual again. */
  answer: ((request: IncomingMessage, response: ServerResponse) => void) | undefined
  close(): Promise<void>
}

/** Serves the keys at `/jwks`. */
export async function startIssuer(...keys: readonly TokenKey[]): Promise<Issuer> {
  let document = jwksOf(...keys)
  let fetches = 0
  const server = await httpServer((request, response) => {
    fetches++
    if (issuer.answer !== undefined) {
      issuer.answer(request, response)
      return
    }
    response.setHeader('content-type', 'application/json')
    response.end(document)
  })
  const issuer: Issuer = {
    port: server.port,
    jwksUrl: `http://127.0.0.1:${server.port}/jwks`,
    fetches: () => fetches,
    publish: (...next) => {
      document = jwksOf(...next)
    },
    answer: undefined,
    close: () => server.close(),
  }
  return issuer
}
