import { z } from 'zod'
import { duration, size } from '../config/values.ts'

/** The plan of one rollcheck: what people write in plan.yaml, and what the flags become. Strict: no unknown key. */

const KINDS = ['get', 'post', 'stream', 'upload', 'websocket'] as const
/** `stream`: a slow answer; `upload`: a slow chunked body. */
export type RequestKind = (typeof KINDS)[number]

const url = () => z.url({ protocol: /^https?$/, error: 'write a URL: http://127.0.0.1:8080' })
const count = () => z.int().min(1)
const share = () => z.number().min(0).max(1)

const command = () =>
  z
    .union([z.string().min(1), z.array(z.string()).min(1)])
    .describe('One text, split at blanks like a shell does (quotes hold), or a list of words. No shell runs.')

const expectation = z.strictObject({
  status: z.int().min(100).max(599).optional().describe('Default: any 2xx.'),
  bodyIncludes: z.string().optional().describe('This text must stand in the answer.'),
  bytes: z.int().min(0).optional().describe('The answer must have just this many bytes.'),
})

const requestSchema = z
  .strictObject({
    name: z.string().min(1).optional().describe('For the report. Default: method and path.'),
    weight: count().default(1).describe('Relative share of the load. Default 1.'),
    kind: z.enum(KINDS).optional().describe('Default by method: GET and HEAD get, PUT upload, others post.'),
    method: z
      .string()
      .regex(/^[A-Z]+$/, 'write the method in capitals')
      .optional()
      .describe('Default by kind: GET, POST, PUT.'),
    path: z.string().startsWith('/', 'a path begins with "/"'),
    headers: z.record(z.string(), z.string()).default({}),
    body: z.string().optional().describe('A text to send.'),
    size: size().optional().describe('Send this many bytes instead of a text. Default for upload: 64KiB.'),
    chunks: count()
      .optional()
      .describe('stream: pieces of the answer; upload: pieces of the body. Default 10.'),
    interval: duration()
      .optional()
      .describe('Between two chunks or messages; chunks × interval is not "late". Default 100ms.'),
    messages: count().default(10).describe('websocket: how many are sent and must come back. Default 10.'),
    expect: expectation.default({}),
  })
  .superRefine((request, ctx) => {
    const misplaced = (key: string, fix: string) =>
      ctx.addIssue({ code: 'custom', path: [key], message: `"${key}" does not fit here`, params: { fix } })
    const kind = kindOf(request)
    const hasBody = kind === 'post' || kind === 'upload'
    if (request.body !== undefined && request.size !== undefined)
      misplaced('size', 'keep body or size, not both')
    if (request.body !== undefined && kind !== 'post') misplaced('body', 'only kind post sends a text')
    if (request.size !== undefined && !hasBody)
      misplaced('size', 'only the kinds post and upload send a body')
  })

function kindOf({
  kind,
  method,
}: {
  kind?: RequestKind | undefined
  method?: string | undefined
}): RequestKind {
  if (kind !== undefined) return kind
  if (method === undefined || method === 'GET' || method === 'HEAD') return 'get'
  return method === 'PUT' ? 'upload' : 'post'
}

const METHODS = { get: 'GET', post: 'POST', stream: 'GET', upload: 'PUT', websocket: 'GET' } as const
const UPLOAD_BYTES = 64 * 1024

/** One kind of request of the mix, with all defaults. */
export interface RequestSpec {
  readonly name: string
  readonly kind: RequestKind
  readonly method: string
  readonly weight: number
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  readonly bytes?: number
  readonly chunks: number
  readonly intervalMs: number
  readonly messages: number
  /** What the request takes by itself: chunks or messages. ms. */
  readonly expectedMs: number
  readonly expect: { readonly status?: number; readonly bodyIncludes?: string; readonly bytes?: number }
}

function withDefaults(written: z.output<typeof requestSchema>): RequestSpec {
  const kind = kindOf(written)
  const method = written.method ?? METHODS[kind]
  const chunks = written.chunks ?? 10
  const intervalMs = written.interval ?? 100
  const bytes = written.size ?? (kind === 'upload' ? UPLOAD_BYTES : undefined)
  const pieces = { get: 0, post: 0, stream: chunks, upload: chunks, websocket: written.messages }[kind]
  const { status, bodyIncludes, bytes: length } = written.expect
  return {
    name: written.name ?? `${kind === 'websocket' ? 'WebSocket' : method} ${written.path}`,
    kind,
    method,
    weight: written.weight,
    path: written.path,
    headers: written.headers,
    ...(written.body === undefined ? {} : { body: written.body }),
    ...(bytes === undefined ? {} : { bytes }),
    chunks,
    intervalMs,
    messages: written.messages,
    expectedMs: pieces * intervalMs,
    expect: {
      ...(status === undefined ? {} : { status }),
      ...(bodyIncludes === undefined ? {} : { bodyIncludes }),
      ...(length === undefined ? {} : { bytes: length }),
    },
  }
}

const loadSchema = z
  .strictObject({
    rate: z
      .number()
      .positive()
      .max(20_000)
      .default(200)
      .describe('Requests a second, open loop. Default 200.'),
    count: count()
      .optional()
      .describe(
        'At least this many requests, also when the roll is over sooner. Default: as many as the roll lasts.',
      ),
    duration: duration().optional().describe('At least this long. Default: as long as the roll lasts.'),
    maxDuration: duration()
      .default(30 * 60_000)
      .describe('Then the load ends, come what may. Default 30m.'),
    late: duration().default(1000).describe('Slower than this is late. Default 1s.'),
    timeout: duration()
      .default(10_000)
      .describe('No answer, or no further byte, for this long is lost. Default 10s.'),
    keepAlive: duration()
      .default(1000)
      .describe(
        'The client closes connections idle for this long: shorter than the drain of the gateway. Default 1s.',
      ),
    connections: count().max(4096).default(256).describe('At most so many at a time. Default 256.'),
    before: duration().default(1000).describe('Load before the roll begins. Default 1s.'),
    after: duration().default(2000).describe('Load after the roll has ended. Default 2s.'),
    requests: z
      .array(requestSchema)
      .min(1)
      .default([{ weight: 1, path: '/', headers: {}, messages: 10, expect: {} }])
      .transform((list) => list.map(withDefaults)),
  })
  .prefault({})

const gatewaySchema = z.strictObject({
  url: url().describe('Where it takes clients.'),
  admin: url().describe('Its admin address.'),
  start: command(),
})

const rollSchema = z
  .strictObject({
    service: z.string().min(1).optional(),
    rounds: count().max(1000).default(1).describe('How often everything is rolled. Default 1.'),
    pauseBetween: duration().default(0).describe('After each instance. Default 0.'),
    signal: z
      .enum(['SIGTERM', 'SIGINT', 'SIGKILL'])
      .default('SIGTERM')
      .describe('SIGKILL is the crash case.'),
    restart: command().optional().describe('Restarts one instance; has {id} {address} {port} {n}.'),
    start: command().optional().describe('Starts one instance; has {port} {n} {version}.'),
    env: z
      .record(z.string(), z.string())
      .default({})
      .describe('For the commands; the same words are filled in.'),
    instances: count().max(100).default(3).describe('Default 3.'),
    versions: z.array(z.string().min(1)).min(1).default(['1', '2']).describe('They take turns by rounds.'),
    minimumHealthCapacity: share().default(1).describe('Of instances; as Marathon means it. Default 1.'),
    maximumOverCapacity: share().default(0.34).describe('Of instances; as Marathon means it. Default 0.34.'),
    readyTimeout: duration().default(30_000).describe('Until a new one is in rotation. Default 30s.'),
    stopTimeout: duration().default(30_000).describe('Then SIGKILL. Default 30s.'),
    gateways: z.array(gatewaySchema).min(1).optional().describe('Roll these gateways instead of a service.'),
  })
  .superRefine((roll, ctx) => {
    const issue = (key: string, message: string, fix: string) =>
      ctx.addIssue({ code: 'custom', path: [key], message, params: { fix } })
    if (roll.gateways !== undefined) {
      for (const key of ['service', 'restart', 'start'] as const) {
        if (roll[key] === undefined) continue
        issue(key, `"${key}" does not fit beside "gateways"`, 'each gateway has a start command of its own')
      }
    } else if (roll.service === undefined) {
      issue('service', 'it is not said what is rolled', 'write service: …, or gateways: [ … ]')
    }
    if (roll.restart !== undefined && roll.start !== undefined) {
      issue(
        'restart',
        '"restart" does not fit beside "start"',
        'keep start when rollcheck runs the instances',
      )
    }
  })

const planSchema = z
  .strictObject({
    version: z.literal(1),
    target: url().optional().describe('What clients call. With gateways: left out, the balancer is called.'),
    admin: z.array(url()).default([]).describe('Admin addresses of all gateways that take this load.'),
    token: z.string().optional().describe('Admin token.'),
    load: loadSchema,
    roll: rollSchema,
    ledger: z
      .union([z.string(), z.array(z.string())])
      .optional()
      .describe('Files (globs) in which the instances note the x-rollcheck-id of each POST they executed.'),
  })
  .superRefine((plan, ctx) => {
    const issue = (key: string, message: string, fix: string) =>
      ctx.addIssue({ code: 'custom', path: [key], message, params: { fix } })
    if (plan.roll.gateways !== undefined) {
      if (plan.target !== undefined) issue('target', 'the balancer is the target', 'leave target out')
      return
    }
    if (plan.target === undefined) issue('target', 'key "target" is missing', 'add it: target: http://…')
    if (plan.admin.length === 0) issue('admin', 'key "admin" is missing', 'add it: admin: [http://…:8081]')
    const { roll, load } = plan
    if (roll.start !== undefined || roll.restart !== undefined) return
    if (load.count === undefined && load.duration === undefined) {
      issue(
        'roll',
        'nothing says how it is rolled',
        'write start or restart, or load.duration to watch alone',
      )
    }
  })

/** zod schema of plan.yaml. */
export const PLAN_SCHEMA = planSchema
export type Plan = z.output<typeof planSchema>
export type RollSpec = Plan['roll']
export type LoadSpec = Plan['load']
/** A command as it is written. */
export type CommandText = string | readonly string[]
