import type { CanaryView, ReleaseView } from '../../src/core/views.ts'
import type { TestConsul } from './consul.ts'
import { type GatewayProcess, startGateway } from './gateway.ts'
import { httpServer, type Scripted } from './scripted-server.ts'
import { waitFor } from './wait.ts'

/** A catalog of two versions, in a registry; the new one can be made to fail. */
export interface Catalog {
  /** Of all its answers. */
  canaryFails: boolean
  /** Of a single answer. */
  isBad: (version: string) => boolean
  /** With each answer of the canary. */
  canaryHeaders: Record<string, string>
  /** What a version answers as JSON, in the place of its name. */
  body: ((version: string) => object) | undefined
  close(): Promise<void>
}

/** Starts an instance of version 1.0 and one of 2.0 as `service`. */
export async function startCatalog(consul: TestConsul, service: string): Promise<Catalog> {
  const servers: Scripted[] = []
  const catalog: Catalog = {
    canaryFails: false,
    isBad: () => false,
    canaryHeaders: {},
    body: undefined,
    close: async () => {
      for (const server of servers) await server.close()
    },
  }
  for (const version of ['1.0', '2.0']) {
    const server = await httpServer((request, response) => {
      request.resume()
      const isCanary = version === '2.0'
      const body = catalog.body?.(version)
      response.writeHead((isCanary && catalog.canaryFails) || catalog.isBad(version) ? 500 : 200, {
        ...(isCanary ? catalog.canaryHeaders : {}),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      })
      response.end(body === undefined ? version : JSON.stringify(body))
    })
    servers.push(server)
    await consul.register({
      Name: service,
      ID: `${service}-${version}`,
      Address: '127.0.0.1',
      Port: server.port,
      Meta: { version },
    })
  }
  return catalog
}

/** What a release of a test is made of. */
export interface ReleaseOptions {
  readonly consul: TestConsul
  readonly service: string
  /** Lines of `canary`. */
  readonly settings?: string
  /** Between two looks. Default 100ms. */
  readonly interval?: string
  /** `ramp` and `guard` of the rule v2. */
  readonly rule: string
  /** Of the only route, after its service: `contract: {}`. */
  readonly route?: string
  readonly more?: string
}

/** A gateway with the rule `v2`: who sends `x-side` is pinned, everybody else drawn by `x-user`. */
export function releaseGateway({
  consul,
  service,
  settings = '',
  interval = '100ms',
  rule,
  route,
  more = '',
}: ReleaseOptions): Promise<GatewayProcess> {
  return startGateway({
    yaml: `registries: { consul: { type: consul, url: "${consul.url}" } }
canary: { interval: ${interval}, prefix: ${service}/, ${settings} }
services: { ${service}: { outlier: { gatewayErrors: 0, maxEjected: 0 } } }
routes: [{ name: shop, match: { pathPrefix: / }, service: ${service}${route === undefined ? '' : `, ${route}`} }]
canaries:
  - name: v2
    service: ${service}
    canary: { version: "2.*" }
    key: [header.x-user]
    match:
      - { name: testers, header: { x-side: canary }, side: canary }
      - { name: others, header: { x-side: stable }, side: stable }
${rule.replaceAll(/^/gm, '    ')}
${more}`,
  })
}

/** Sends requests of one side, one after the other; the versions that answered. */
export async function send(
  gateway: GatewayProcess,
  side: 'canary' | 'stable',
  count: number,
): Promise<string[]> {
  const seen: string[] = []
  for (let i = 0; i < count; i++) {
    const response = await fetch(gateway.publicUrl, { headers: { 'x-side': side } })
    seen.push(await response.text())
  }
  return seen
}

export const viewOf = (gateway: GatewayProcess) => gateway.admin<CanaryView>('/api/canaries/v2')

/** Waits until the release stands there, as this gateway says. */
export async function untilAt(
  gateway: GatewayProcess,
  wanted: { readonly percent?: number; readonly status?: string },
  timeoutMs = 10_000,
): Promise<ReleaseView> {
  return waitFor(
    async () => {
      const { release } = await viewOf(gateway)
      const isThere =
        release !== undefined &&
        (wanted.percent ?? release.percent) === release.percent &&
        (wanted.status ?? release.status) === release.status
      return isThere ? release : undefined
    },
    { timeoutMs, what: `the release to be at ${JSON.stringify(wanted)}` },
  )
}

export const decides = async (gateway: GatewayProcess) =>
  (await gateway.admin<{ decides: boolean }>('/api/canaries')).decides
