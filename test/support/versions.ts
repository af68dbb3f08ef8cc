import { z } from 'zod'
import type { Instance, RegistryState } from '../../src/core/types.ts'
import { defineFilter } from '../../src/filters/filter.ts'
import { anInstance, aPrincipal, registryOf } from './canary.ts'
import type { ProxyOptions, RunningProxy } from './proxy.ts'
import { httpServer, type Scripted } from './scripted-server.ts'

/** A running instance that answers with its version and the headers it got. */
export interface RunningVersion extends Scripted {
  readonly instance: Instance
  /** Requests so far. */
  readonly requests: () => number
}

/** What an instance of `startVersion` answers. */
export interface VersionAnswer {
  readonly service: string
  readonly version: string
  readonly headers: Readonly<Record<string, string>>
}

/** Starts one instance; `answerHeaders` go with each answer. */
export async function startVersion(
  service: string,
  version: string,
  own: Partial<Instance> = {},
  answerHeaders: Readonly<Record<string, string>> = {},
): Promise<RunningVersion> {
  let requests = 0
  const server = await httpServer((request, response) => {
    requests++
    request.resume()
    response.writeHead(200, { 'content-type': 'application/json', ...answerHeaders })
    response.end(JSON.stringify({ service, version, headers: request.headers }))
  })
  const instance = anInstance(service, `${service}-${version}-${server.port}`, {
    version,
    port: server.port,
    ...own,
  })
  return { ...server, instance, requests: () => requests }
}

/** What a registry says of these. */
export const registryWith = (...versions: readonly { readonly instance: Instance }[]): RegistryState =>
  registryOf(...versions.map(({ instance }) => instance))

/** Believes who the client says it is: sets the principal from `x-test-user`. */
export const testIdentity = defineFilter({
  name: 'test-identity',
  summary: 'For tests.',
  options: z.strictObject({}),
  create: () => ({
    inbound(ctx) {
      const user = ctx.headers.get('x-test-user')
      if (user !== undefined) ctx.principal = aPrincipal(user)
      return undefined
    },
  }),
})

/** Options of a gateway with a route for each service, by path `/<service>`. */
export function gatewayFor(
  yaml: string,
  versions: readonly { readonly instance: Instance }[],
  own: Partial<ProxyOptions> = {},
): ProxyOptions {
  const services = [...new Set(versions.map(({ instance }) => instance.service))]
  const routes = services.map(
    (name) =>
      `  - { name: ${name}, match: { pathPrefix: /${name} }, service: ${name}, filters: [{ type: test-identity }] }`,
  )
  return {
    yaml: `registries: { test: { type: embedded } }\n${yaml}\nroutes:\n${routes.join('\n')}\n`,
    registry: registryWith(...versions),
    definitions: [testIdentity],
    ...own,
  }
}

/** GETs a path; the instance's answer, and the cookies that came with it. */
export async function get(
  gateway: Pick<RunningProxy, 'url'>,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<VersionAnswer & { status: number; cookies: readonly string[] }> {
  const response = await fetch(gateway.url + path, { headers })
  const text = await response.text()
  const answer = response.ok
    ? (JSON.parse(text) as VersionAnswer)
    : { service: '', version: text, headers: {} }
  return { ...answer, status: response.status, cookies: response.headers.getSetCookie() }
}
