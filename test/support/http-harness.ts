import { hash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createHttpProvider, type HttpOptions } from '../../src/registry/http.ts'
import type { RegistryProvider } from '../../src/registry/provider.ts'
import { freePort } from './ports.ts'
import type { ProviderTestDeps, RegistryHarness } from './registry-conformance.ts'

const TOKEN = 'let-me-in'

/** An endpoint with a document of instances, as a program of somebody's own would be one. */
export interface TestEndpoint {
  readonly url: string
  /** By service, then by id. */
  readonly services: Map<string, Map<string, unknown>>
  /** Requests so far, and how many were answered with 304. */
  readonly counts: { requests: number; unchanged: number }
  /** Takes what the services are now as the document. */
  publish(): void
  /** Answers with this instead; undefined = no longer. */
  override(answer: { status?: number; text?: string } | undefined): void
  /** Wants this bearer token from now on. */
  guard(token: string | undefined): void
  start(): Promise<void>
  stop(): Promise<void>
}

/** `isPatient`: it honours `Prefer: wait`. */
export async function createEndpoint({ isPatient = false } = {}): Promise<TestEndpoint> {
  const port = await freePort()
  const services = new Map<string, Map<string, unknown>>()
  const counts = { requests: 0, unchanged: 0 }
  const waiting = new Set<() => void>()
  let text = '{"services":{}}'
  let given: { status?: number; text?: string } | undefined
  let token: string | undefined
  const answer = (request: IncomingMessage, response: ServerResponse, isLate: boolean) => {
    const body = given?.text ?? text
    const etag = `"${hash('sha1', body, 'hex')}"`
    if (token !== undefined && request.headers.authorization !== `Bearer ${token}`)
      response.writeHead(403).end()
    else if (given?.status !== undefined) response.writeHead(given.status).end(body)
    else if (request.headers['if-none-match'] === etag) {
      const seconds = Number(/wait=(\d+)/.exec(String(request.headers['prefer'] ?? ''))?.[1] ?? 0)
      if (!isPatient || isLate || seconds === 0) {
        counts.unchanged++
        response.writeHead(304, { etag }).end()
        return
      }
      const wake = () => {
        clearTimeout(timer)
        waiting.delete(wake)
        answer(request, response, true)
      }
      const timer = setTimeout(wake, seconds * 1000)
      waiting.add(wake)
      response.on('close', () => {
        clearTimeout(timer)
        waiting.delete(wake)
      })
    } else response.writeHead(200, { 'content-type': 'application/json', etag }).end(body)
  }
  const server = createServer((request, response) => {
    counts.requests++
    answer(request, response, false)
  })
  return {
    url: `http://127.0.0.1:${port}/instances`,
    services,
    counts,
    publish() {
      const entries = [...services].filter(([, list]) => list.size > 0)
      text = JSON.stringify({
        services: Object.fromEntries(entries.map(([name, list]) => [name, [...list.values()]])),
      })
      for (const wake of [...waiting]) wake()
    },
    override(next) {
      given = next
      for (const wake of [...waiting]) wake()
    },
    guard(next) {
      token = next
    },
    async start() {
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
    },
    async stop() {
      if (!server.listening) return
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

/** A provider named `main` with the defaults of the configuration, but an interval of 500 ms. */
export function httpProvider(
  url: string,
  options: Partial<HttpOptions>,
  deps: ProviderTestDeps,
): RegistryProvider {
  return createHttpProvider(
    'main',
    {
      url,
      interval: 500,
      wait: 0,
      timeout: 5000,
      maxSize: 8 * 1024 * 1024,
      include: [],
      exclude: [],
      forbidAddresses: [],
      ...options,
    },
    deps,
  )
}

/** A JSON endpoint for the conformance suite. */
export function httpHarness(options: { isPatient?: boolean } = {}): RegistryHarness {
  return {
    async start({ isDown = false } = {}) {
      const endpoint = await createEndpoint(options)
      if (!isDown) await endpoint.start()
      const edit = async (service: string, change: (list: Map<string, unknown>) => void) => {
        const list = endpoint.services.get(service) ?? new Map<string, unknown>()
        endpoint.services.set(service, list)
        change(list)
        endpoint.publish()
      }
      const own = options.isPatient === true ? { wait: 30_000, interval: 10_000 } : {}
      return {
        provider: (deps) => httpProvider(endpoint.url, { ...own, token: TOKEN }, deps),
        put: ({ service, id, address, port, version }) =>
          edit(service, (list) => list.set(id, { url: `http://${address}:${port}`, id, version })),
        remove: ({ service, id }) => edit(service, (list) => list.delete(id)),
        async putMalformed({ service, id }) {
          await edit(service, (list) => list.set(id, { url: 'nowhere', id }))
          const at = [...(endpoint.services.get(service)?.keys() ?? [])].indexOf(id)
          return `${endpoint.url}: a record is left out: services.${service}.${at}.url`
        },
        kill: () => endpoint.stop(),
        restart: () => endpoint.start(),
        async wipe() {
          await endpoint.stop()
          endpoint.services.clear()
          endpoint.publish()
          await endpoint.start()
        },
        async revoke() {
          endpoint.guard(`not-${TOKEN}`)
          // Whoever waits is told at the next change.
          endpoint.publish()
        },
        async grant() {
          endpoint.guard(TOKEN)
        },
        stop: () => endpoint.stop(),
      }
    },
  }
}
