import { z } from 'zod'
import { GatewayError } from '../core/errors.ts'
import { TokenSource } from './consul-token.ts'
import { type HttpAnswer, HttpClient, type HttpTls, parseJson, placeOf } from './http-client.ts'

const MAX_ANSWER = 16 * 1024 * 1024
/** Services of one page. */
const PAGE = 500
/** A login is renewed when this share of its life is over. */
const RENEW_AT = 0.8

/** Which Nacos, and as whom. */
export interface NacosConnection {
  /** `http://host:8848/nacos`, one a server. */
  readonly urls: readonly string[]
  readonly api: 'v1' | 'v2'
  /** Empty = the public one. */
  readonly namespaceId: string
  readonly groupName: string
  /** Empty = all. */
  readonly clusters: readonly string[]
  readonly username?: string | undefined
  readonly password?: string | undefined
  readonly passwordFile?: string | undefined
  readonly tls?: HttpTls | undefined
  /** For one answer of one server. ms. */
  readonly timeout: number
}

const host = z.object({
  instanceId: z.string().optional(),
  ip: z.string(),
  port: z.number(),
  weight: z.number().default(1),
  healthy: z.boolean().default(true),
  enabled: z.boolean().default(true),
  ephemeral: z.boolean().default(true),
  clusterName: z.string().default('DEFAULT'),
  metadata: z.record(z.string(), z.string()).nullish(),
})

/** An instance as Nacos tells it. */
export type NacosHost = z.output<typeof host>

const login = z.object({ accessToken: z.string(), tokenTtl: z.number().default(18_000) })
const doms = z.object({ count: z.number(), doms: z.array(z.string()) })
const services = z.object({ count: z.number(), services: z.array(z.string()) })
const hosts = z.object({ hosts: z.array(z.unknown()) })
const wrapped = z.object({ code: z.number(), message: z.string().nullish(), data: z.unknown() })

/** One host, or why it is none. */
export function readHost(given: unknown): { host: NacosHost } | { why: string } {
  const result = host.safeParse(given)
  if (result.success) return { host: result.data }
  const [issue] = result.error.issues
  return { why: `${issue?.path.map(String).join('.')}: ${issue?.message}` }
}

/**
 * The HTTP API of Nacos 1 and 2. Calls go to the server that answered last, and on to the next when it is at fault. All
 * throw GW_REGISTRY_UNREACHABLE, _TIMEOUT, _ACL or _ANSWER.
 */
export class NacosClient {
  readonly #connection: NacosConnection
  readonly #http: HttpClient
  readonly #password: TokenSource
  readonly #now: () => number
  #at = 0
  #token: { readonly text: string; readonly renewAt: number } | undefined
  #entering: Promise<string> | undefined

  /** `now`: ms, only differences mean something. Throws GW_REGISTRY_FILE when a PEM file cannot be read. */
  constructor(connection: NacosConnection, now: () => number) {
    this.#connection = connection
    this.#http = new HttpClient(connection.tls)
    this.#password = new TokenSource({ token: connection.password, tokenFile: connection.passwordFile })
    this.#now = now
  }

  /** Names of all services of the namespace and group. */
  async services(signal: AbortSignal): Promise<string[]> {
    const { namespaceId, groupName, api } = this.#connection
    const names: string[] = []
    for (let page = 1; ; page++) {
      const query = { pageNo: String(page), pageSize: String(PAGE), groupName, namespaceId }
      const { place, value } = await this.#get(`/${api}/ns/service/list`, query, signal)
      const { count, list } =
        api === 'v1' ? fromDoms(check(doms, place, value)) : fromServices(check(services, place, value))
      names.push(...list)
      if (list.length === 0 || names.length >= count) return [...new Set(names)].sort()
    }
  }

  /** What Nacos lists of a service, healthy or not; unchecked. */
  async hosts(serviceName: string, signal: AbortSignal): Promise<readonly unknown[]> {
    const { namespaceId, groupName, clusters, api } = this.#connection
    const query = {
      serviceName,
      groupName,
      namespaceId,
      healthyOnly: 'false',
      ...(clusters.length === 0 ? {} : { [api === 'v1' ? 'clusters' : 'clusterName']: clusters.join(',') }),
    }
    const { place, value } = await this.#get(`/${api}/ns/instance/list`, query, signal)
    return check(hosts, place, value).hosts
  }

  close(): Promise<void> {
    return this.#http.close()
  }

  /** Every server once, from the one that answered last; after a refusal once more with a new login. */
  async #get(
    path: string,
    query: Record<string, string>,
    signal: AbortSignal,
  ): Promise<{ place: string; value: unknown }> {
    const { urls } = this.#connection
    let last: unknown
    for (let n = 0; n < urls.length; n++) {
      const base = urls[this.#at % urls.length] as string
      try {
        return await this.#getFrom(base, path, query, signal)
      } catch (thrown) {
        last = thrown
        if (signal.aborted) break
        // Another server would say the same.
        if (thrown instanceof GatewayError && thrown.code === 'GW_REGISTRY_ACL') break
        this.#at++
      }
    }
    throw last
  }

  async #getFrom(
    base: string,
    path: string,
    query: Record<string, string>,
    signal: AbortSignal,
  ): Promise<{ place: string; value: unknown }> {
    const place = placeOf(base + path)
    let answer = await this.#call(base, path, query, signal)
    if (isRefused(answer) && this.#connection.username !== undefined) {
      this.#token = undefined
      answer = await this.#call(base, path, query, signal)
    }
    if (isRefused(answer)) {
      throw new GatewayError('GW_REGISTRY_ACL', `${place}: answered with ${answer.status}`)
    }
    if (answer.status !== 200) {
      throw new GatewayError('GW_REGISTRY_ANSWER', `${place}: answered with ${answer.status}`)
    }
    const value = parseJson(place, answer.text)
    if (this.#connection.api === 'v1') return { place, value }
    const { code, message, data } = check(wrapped, place, value)
    if (code === 0) return { place, value: data }
    throw new GatewayError('GW_REGISTRY_ANSWER', `${place}: code ${code}: ${(message ?? '').slice(0, 200)}`)
  }

  async #call(
    base: string,
    path: string,
    query: Record<string, string>,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const token = await this.#login(base, signal)
    const all = new URLSearchParams({ ...query, ...(token === undefined ? {} : { accessToken: token }) })
    return this.#http.call({
      url: `${base}${path}?${all}`,
      headers: { accept: 'application/json' },
      timeoutMs: this.#connection.timeout,
      maxBytes: MAX_ANSWER,
      signal,
    })
  }

  /** The token of a login; many calls at once make one. */
  async #login(base: string, signal: AbortSignal): Promise<string | undefined> {
    if (this.#connection.username === undefined) return undefined
    if (this.#token !== undefined && this.#now() < this.#token.renewAt) return this.#token.text
    this.#entering ??= this.#enter(base, this.#connection.username, signal).finally(() => {
      this.#entering = undefined
    })
    return this.#entering
  }

  async #enter(base: string, username: string, signal: AbortSignal): Promise<string> {
    const place = placeOf(`${base}/v1/auth/login`)
    const password = (await this.#password.read()) ?? ''
    const { status, text } = await this.#http.call({
      url: place,
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: String(new URLSearchParams({ username, password })),
      timeoutMs: this.#connection.timeout,
      maxBytes: MAX_ANSWER,
      signal,
    })
    if (status !== 200) {
      this.#password.forget()
      const code = status === 401 || status === 403 ? 'GW_REGISTRY_ACL' : 'GW_REGISTRY_ANSWER'
      throw new GatewayError(code, `${place}: answered with ${status}`)
    }
    const { accessToken, tokenTtl } = check(login, place, parseJson(place, text))
    this.#token = { text: accessToken, renewAt: this.#now() + tokenTtl * 1000 * RENEW_AT }
    return accessToken
  }
}

const isRefused = ({ status }: HttpAnswer): boolean => status === 401 || status === 403

const fromDoms = ({ count, doms: list }: z.output<typeof doms>) => ({ count, list })
const fromServices = ({ count, services: list }: z.output<typeof services>) => ({ count, list })

function check<T extends z.ZodType>(schema: T, place: string, value: unknown): z.output<T> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  const path = issue?.path.map(String).join('.') ?? ''
  throw new GatewayError('GW_REGISTRY_ANSWER', `${place}: ${path === '' ? '' : `${path}: `}${issue?.message}`)
}
