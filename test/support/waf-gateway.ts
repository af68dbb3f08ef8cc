import { watchFiles } from '../../src/config/watch.ts'
import { oneRoute, type useCleanups } from './cleanup.ts'
import type { RunningProxy } from './proxy.ts'
import { httpServer } from './scripted-server.ts'
import { requireCoreRules } from './waf.ts'

/** What a `waf` filter did behind a real data path. */
export interface WafGateway {
  readonly gateway: RunningProxy
  /** Sends a request; the service answers with what it got. */
  send(target: string, init?: RequestInit): Promise<Response>
  /** Log lines of the filter. */
  readonly lines: (Readonly<Record<string, unknown>> & { readonly text: string })[]
  readonly events: Readonly<Record<string, unknown>>[]
  /** Sum of a counter whose labels begin with these; also the last value of a gauge. */
  metric(name: string, ...labels: string[]): number
  /** Requests that came to the service. */
  readonly served: { readonly method: string; readonly url: string; readonly body: string }[]
}

export interface WafGatewayOptions {
  /** Options of the filter, as YAML in flow style without braces. */
  readonly filter?: string
  /** Of the static section `waf`. */
  readonly engine?: string
  readonly answer?: Parameters<typeof httpServer>[0]
  readonly random?: () => number
  /** More filters before it. */
  readonly before?: string
}

/** A gateway with one route, a `waf` filter and a service behind it. Closed by the cleanups. */
export async function wafGateway(
  { opened, proxy }: ReturnType<typeof useCleanups>,
  options: WafGatewayOptions = {},
): Promise<WafGateway> {
  requireCoreRules()
  const served: WafGateway['served'] = []
  const service = await opened(
    httpServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const body = Buffer.concat(chunks).toString('latin1')
        served.push({ method: request.method ?? '', url: request.url ?? '', body })
        if (options.answer !== undefined) options.answer(request, response)
        else response.end('fine')
      })
    }),
  )
  const lines: (Record<string, unknown> & { text: string })[] = []
  const events: Readonly<Record<string, unknown>>[] = []
  const counts = new Map<string, number>()
  const note = (fields: object, text: string) => void lines.push({ ...fields, text })
  const before = options.before === undefined ? '' : `${options.before}, `
  const filter = options.filter === undefined ? '' : `, ${options.filter}`
  const gateway = await proxy({
    yaml: oneRoute([service.port], {
      top: `waf: { workers: 1${options.engine === undefined ? '' : `, ${options.engine}`} }`,
      route: `filters: [${before}{ type: waf${filter} }]`,
    }),
    ...(options.random === undefined ? {} : { random: options.random }),
    environment: {
      log: { info: note, warn: note },
      event: (data) => void events.push(data),
      metrics: {
        count: (name, labels, by = 1) => {
          const key = [name, ...labels].join(' ')
          counts.set(key, (counts.get(key) ?? 0) + by)
        },
        set: (name, labels, value) => void counts.set([name, ...labels].join(' '), value),
      },
      watchFiles: (paths, onChange, signal) =>
        watchFiles(
          () => paths,
          () => [],
          async () => onChange(),
          signal,
          { settleMs: 10, pollMs: 100, gapMs: 20 },
        ),
    },
  })
  return {
    gateway,
    send: (target, init = {}) =>
      fetch(gateway.url + target, {
        redirect: 'manual',
        ...init,
        headers: { 'user-agent': 'Mozilla/5.0', ...init.headers },
      }),
    lines,
    events,
    served,
    metric(name, ...labels) {
      const prefix = [name, ...labels].join(' ')
      let sum = 0
      for (const [key, value] of counts) if (key === prefix || key.startsWith(`${prefix} `)) sum += value
      return sum
    },
  }
}

/** The five places where an attacker puts something. */
export const PLACES: readonly (readonly [string, (attack: string) => readonly [string, RequestInit]])[] = [
  ['in the query', (attack) => [`/?q=${encodeURIComponent(attack)}`, {}]],
  [
    'in a header',
    (attack) => [
      '/',
      { headers: { referer: attack, 'user-agent': attack, cookie: `c=${encodeURIComponent(attack)}` } },
    ],
  ],
  [
    'in a form',
    (attack) => [
      '/',
      {
        method: 'POST',
        body: new URLSearchParams({ field: attack }).toString(),
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      },
    ],
  ],
  [
    'in a multipart form',
    (attack) => {
      const body = new FormData()
      body.set('field', attack)
      return ['/', { method: 'POST', body }]
    },
  ],
  [
    'in JSON',
    (attack) => [
      '/',
      {
        method: 'POST',
        body: JSON.stringify({ list: [{ text: attack }] }),
        headers: { 'content-type': 'application/json' },
      },
    ],
  ],
]
