import { existsSync } from 'node:fs'
import { systemClock } from '../../src/core/duration.ts'
import { GatewayError } from '../../src/core/errors.ts'
import { type EngineDeps, type EngineSettings, WafEngine } from '../../src/waf/engine.ts'
import type { RuleOptions } from '../../src/waf/rules.ts'
import type { InspectedRequest } from '../../src/waf/types.ts'

export const CRS = '/usr/share/modsecurity-crs/rules'

/** Missing = fail: `npm run servers` installs them. */
export function requireCoreRules(): void {
  if (!existsSync(CRS)) throw new GatewayError('GW_WAF_LIBRARY', `no ${CRS}: run npm run servers`)
}

export const ruleOptions = (own: Partial<RuleOptions> = {}): RuleOptions => ({
  crs: CRS,
  paranoia: { blocking: 1, detection: 1 },
  thresholds: { inbound: 5, outbound: 4 },
  methods: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'],
  contentTypes: [
    'application/json',
    'application/x-www-form-urlencoded',
    'multipart/form-data',
    'text/plain',
  ],
  body: { maxBytes: 131_072, maxArguments: 1000 },
  answerBody: undefined,
  exclusions: [],
  files: [],
  ...own,
})

export interface NotedEngine {
  readonly engine: WafEngine
  readonly events: Readonly<Record<string, unknown>>[]
  readonly warnings: string[]
  readonly restarts: () => number
}

export function anEngine(settings: Partial<EngineSettings> = {}, own: Partial<EngineDeps> = {}): NotedEngine {
  const events: Readonly<Record<string, unknown>>[] = []
  const warnings: string[] = []
  let restarts = 0
  const engine = new WafEngine(
    { workers: 1, queue: 64, timeout: 10_000, ...settings },
    {
      clock: systemClock,
      random: Math.random,
      log: {
        info: () => {},
        warn: (fields, text) => void warnings.push(`${text} ${JSON.stringify(fields)}`),
      },
      onQueue: () => {},
      onRestart: () => void restarts++,
      event: (data) => void events.push(data),
      ...own,
    },
  )
  return { engine, events, warnings, restarts: () => restarts }
}

/** A harmless GET as a browser sends it; `own` makes it something else. */
export const aRequest = (
  own: Partial<InspectedRequest> & { headerFields?: string[] } = {},
): InspectedRequest => {
  const { headerFields = [], ...rest } = own
  return {
    id: 'r-1',
    clientIp: '192.0.2.7',
    method: 'GET',
    uri: '/',
    httpVersion: '1.1',
    headers: ['Host', 'shop.example.com', 'User-Agent', 'Mozilla/5.0', 'Accept', '*/*', ...headerFields],
    body: undefined,
    ...rest,
  }
}

/** A POST with a body of a type. */
export const aPost = (
  type: string,
  body: string | Buffer,
  own: Partial<InspectedRequest> = {},
): InspectedRequest => {
  const bytes = new Uint8Array(Buffer.from(body as string))
  return aRequest({
    method: 'POST',
    headerFields: ['Content-Type', type, 'Content-Length', String(bytes.length)],
    body: bytes,
    ...own,
  })
}
