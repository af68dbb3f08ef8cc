import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { text } from 'node:stream/consumers'
import { watchFiles } from '../../src/config/watch.ts'
import type { FilterEnvironment } from '../../src/filters/instances.ts'
import { oneRoute, type useCleanups } from './cleanup.ts'
import type { ProxyOptions } from './proxy.ts'
import { httpServer } from './scripted-server.ts'

/** What arrived at the service. */
export interface Arrived {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface GuardedAnswer {
  readonly status: number
  /** `GW_…` of a refusal. */
  readonly code: string | undefined
  readonly detail: string | undefined
  readonly headers: IncomingHttpHeaders
  /** Undefined = nothing arrived. */
  readonly arrived: Arrived | undefined
}

export interface GuardedRequest {
  readonly method?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, string | string[]>>
  readonly body?: string | Buffer
  /** Options of node:https: cert, key, ca, servername. */
  readonly tls?: object
}

/** Files of filters are watched as the gateway does, without waiting for quiet. */
export const WATCHING: Partial<FilterEnvironment> = {
  watchFiles: (paths, onChange, signal) =>
    watchFiles(
      () => paths,
      () => [],
      async () => onChange(),
      signal,
      { settleMs: 1, gapMs: 1, pollMs: 50 },
    ),
}

/** A service that tells what arrives, behind a gateway with these filters (YAML, a list without brackets). */
export async function guarded(
  { opened, proxy }: ReturnType<typeof useCleanups>,
  filters: string,
  options: Omit<ProxyOptions, 'yaml'> & { readonly top?: string; readonly route?: string } = {},
) {
  let last: Arrived | undefined
  let count = 0
  const service = await opened(
    httpServer(async (request, response) => {
      const { method = '', url = '', headers } = request
      last = { method, url, headers, body: await text(request) }
      count++
      response.end('ok')
    }),
  )
  const { top, route, environment, ...rest } = options
  const yamlOf = (list: string) =>
    oneRoute([service.port], {
      route: `filters: [${list}]\n${route ?? ''}`,
      ...(top === undefined ? {} : { top }),
    })
  const gateway = await proxy({
    ...rest,
    yaml: yamlOf(filters),
    environment: { ...WATCHING, ...environment },
  })
  const send = async (own: GuardedRequest = {}): Promise<GuardedAnswer> => {
    last = undefined
    const answer = await exchange(gateway.url, own)
    const isProblem = answer.headers['content-type'] === 'application/problem+json'
    const problem = isProblem ? (JSON.parse(answer.body) as { code: string; detail?: string }) : undefined
    return { ...answer, code: problem?.code, detail: problem?.detail, arrived: last }
  }
  return {
    gateway,
    send,
    swap: (list: string) => gateway.swap(yamlOf(list)),
    /** How many requests the service got. */
    count: () => count,
  }
}

async function exchange(
  base: string,
  { method = 'GET', path = '/', headers = {}, body, tls }: GuardedRequest,
) {
  const { hostname, port, protocol } = new URL(base)
  const send = protocol === 'https:' ? httpsRequest : httpRequest
  const given = { host: 'a.example', ...headers }
  const request = send({ hostname, port, method, path, headers: given, agent: false, ...tls })
  request.end(body)
  const [response] = await new Promise<[import('node:http').IncomingMessage]>((resolve, reject) => {
    request.on('response', (answer) => resolve([answer])).on('error', reject)
  })
  return { status: response.statusCode ?? 0, headers: response.headers, body: await text(response) }
}

/** `Authorization` of RFC 7617. */
export const basicOf = (user: string, password: string) =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
