import { readFileSync } from 'node:fs'
import type { IncomingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import httpProxy from '@fastify/http-proxy'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Agent, type Dispatcher } from 'undici'
import type { ToolConfig } from '../src/config/tools.ts'
import { errorText, GatewayError } from '../src/core/errors.ts'
import { chosenCookies } from '../src/preview/redact.ts'
import { LEAD_SCRIPT, leadLocation, leadPage, leadScript, type ToolPlace, toolPolicy } from './tool-pages.ts'

/** ms. */
const CONNECT_TIMEOUT = 3000
/** Silence within an answer. ms. */
const BODY_TIMEOUT = 60_000
/** Pages that wait for news hold a connection each. */
const CONNECTIONS = 64
/** Larger pages are not led. Bytes. */
const MAX_PAGE = 4 * 1024 * 1024

/** What Consul's own pages use. */
const CONSUL_PATHS = ['/ui/', '/v1/']

/** Not for a tool: who is signed in here, what is between two neighbours, and what the gateway itself says. */
const DROPPED_FROM_REQUESTS = [
  'authorization',
  'cookie',
  'origin',
  'referer',
  'forwarded',
  'via',
  'x-real-ip',
  'x-sluice-debug',
  // Node has answered it; reply-from refuses it.
  'expect',
  'keep-alive',
  'te',
  'trailer',
  'upgrade',
  'proxy-connection',
  'proxy-authorization',
]

/** What would act on the whole host, open it to other origins, or ask people for passwords in the name of the gateway. */
const DROPPED_FROM_ANSWERS =
  /^(?:connection|keep-alive|proxy-.*|upgrade|trailer|set-cookie|strict-transport-security|clear-site-data|alt-svc|access-control-.*|service-worker-allowed|www-authenticate|public-key-pins.*|nel|report-to|reporting-endpoints|x-sluice-explain)$/

/** Carries the wish to cancel from `rewriteRequestHeaders` to the agent. */
const SIGNAL = Symbol('signal')

/** Aborts when the client leaves before it has its answer. */
const departures = new WeakMap<FastifyRequest, AbortSignal>()

function watchDeparture(request: FastifyRequest, reply: FastifyReply): void {
  const abort = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) abort.abort()
  })
  departures.set(request, abort.signal)
}

type SentHeaders = IncomingHttpHeaders & { [SIGNAL]?: AbortSignal }

function readCa(name: string, ca: string | undefined): { ca?: string } {
  if (ca === undefined) return {}
  try {
    return { ca: readFileSync(ca, 'utf8') }
  } catch (cause) {
    throw new GatewayError('GW_CONFIG_UNREADABLE', `admin.tools.${name}.ca: ${ca} cannot be read`, { cause })
  }
}

function placeOf(name: string, { url, paths }: ToolConfig): ToolPlace {
  const { origin, pathname } = new URL(url)
  return {
    base: `/tools/${name}`,
    path: pathname.replace(/\/+$/, ''),
    origin,
    roots: paths ?? (name === 'consul' ? CONSUL_PATHS : []),
  }
}

/** undici's agent as reply-from asks it: certificates are checked, and a client that leaves cancels its request. */
function createAgent(name: string, { timeout, ca }: ToolConfig) {
  const agent = new Agent({
    connections: CONNECTIONS,
    pipelining: 1,
    connect: { timeout: CONNECT_TIMEOUT, rejectUnauthorized: true, ...readCa(name, ca) },
  })
  return {
    headersTimeout: timeout,
    bodyTimeout: BODY_TIMEOUT,
    request(
      options: Dispatcher.RequestOptions & { headers: SentHeaders },
      done: (error: Error | null, data: Dispatcher.ResponseData) => void,
    ) {
      const { [SIGNAL]: signal, ...headers } = options.headers
      agent.request({ ...options, headers, ...(signal === undefined ? {} : { signal }) }, done)
    },
    destroy: () => void agent.destroy(),
  }
}

/** The request as the tool gets it. */
function sentHeaders(
  request: FastifyRequest,
  received: IncomingHttpHeaders,
  place: ToolPlace,
  { headers: own, cookies }: ToolConfig,
): SentHeaders {
  const headers: SentHeaders = { ...received }
  for (const name of DROPPED_FROM_REQUESTS) delete headers[name]
  for (const name of Object.keys(headers)) if (name.startsWith('x-forwarded-')) delete headers[name]
  const cookie = chosenCookies(received.cookie, new Set(cookies))
  if (cookie !== undefined) headers.cookie = cookie
  // Pages that are edited must come as they are.
  if (place.roots.length > 0) headers['accept-encoding'] = 'identity'
  const signal = departures.get(request)
  return {
    ...headers,
    ...own,
    'x-forwarded-for': request.ip,
    'x-forwarded-proto': request.protocol,
    'x-forwarded-host': request.headers.host ?? '',
    'x-forwarded-prefix': place.base,
    ...(signal === undefined ? {} : { [SIGNAL]: signal }),
  }
}

/** A cookie of the tool, for the tool alone. */
function ownCookie(cookie: string, base: string): string {
  const kept = cookie.split(';').filter((part, i) => i === 0 || !/^\s*(?:path|domain)\s*=/i.test(part))
  return `${kept.join(';')}; Path=${base}/`
}

/** The answer as the browser gets it. */
function givenHeaders(
  request: FastifyRequest,
  received: IncomingHttpHeaders,
  place: ToolPlace,
  { cookies }: ToolConfig,
): IncomingHttpHeaders {
  const headers: IncomingHttpHeaders = {}
  for (const [name, value] of Object.entries(received)) {
    if (!DROPPED_FROM_ANSWERS.test(name)) headers[name] = value
  }
  if (typeof headers.location === 'string') headers.location = leadLocation(headers.location, place)
  const own = [received['set-cookie'] ?? []]
    .flat()
    .filter((cookie) => cookies.includes(cookie.split('=', 1)[0]?.trim() ?? ''))
  if (own.length > 0) headers['set-cookie'] = own.map((cookie) => ownCookie(cookie, place.base))
  headers['cache-control'] = headers['cache-control']?.replace(/\bpublic\b/i, 'private') ?? 'no-store'
  const policy = toolPolicy(request.headers.host ?? '', place.base)
  const theirs = received['content-security-policy']
  headers['content-security-policy'] = [theirs ?? [], policy].flat() as unknown as string
  headers['cross-origin-resource-policy'] = 'same-origin'
  headers['referrer-policy'] = 'same-origin'
  return headers
}

async function pageText(body: Readable): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_PAGE) throw new GatewayError('GW_UPSTREAM_RESPONSE_TOO_LARGE')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** Sends the answer on; a page of a tool that knows no base path is edited on its way. */
function passOn(reply: FastifyReply, body: Readable, place: ToolPlace): void {
  const type = String(reply.getHeader('content-type') ?? '')
  const length = Number(reply.getHeader('content-length') ?? 0)
  const isPage = /^text\/html\b/i.test(type) && reply.request.method !== 'HEAD' && length <= MAX_PAGE
  if (place.roots.length === 0 || !isPage || reply.hasHeader('content-encoding')) {
    reply.send(body)
    return
  }
  for (const name of ['content-length', 'etag', 'last-modified', 'accept-ranges']) reply.removeHeader(name)
  pageText(body).then(
    (html) => reply.send(leadPage(html, place)),
    (thrown: unknown) => reply.send(unreachable(thrown)),
  )
}

const isTimeout = (thrown: unknown): boolean =>
  /timeout/i.test(String((thrown as { code?: unknown })?.code ?? '')) ||
  (thrown instanceof Error && thrown.cause !== undefined && isTimeout(thrown.cause))

function unreachable(thrown: unknown): GatewayError {
  const code = isTimeout(thrown) ? 'GW_UPSTREAM_TIMEOUT' : 'GW_UPSTREAM_CONNECT'
  return new GatewayError(code, `the tool does not answer: ${errorText(thrown)}`)
}

function registerTool(app: FastifyInstance, name: string, tool: ToolConfig): void {
  const place = placeOf(name, tool)
  const isQuestion = new Set(tool.questions)
  const agent = createAgent(name, tool)
  void app.register((own, _options, done) => {
    // Bodies are streamed, whatever they are.
    own.removeAllContentTypeParsers()
    const config = {
      asks: ({ method, url }: FastifyRequest) =>
        method === 'POST' && isQuestion.has(url.slice(place.base.length).split('?', 1)[0] ?? ''),
    }
    own.get(`${place.base}${LEAD_SCRIPT}`, { schema: { hide: true } }, (_request, reply) =>
      reply.type('text/javascript; charset=utf-8').send(leadScript(place)),
    )
    void own.register(httpProxy, {
      prefix: place.base,
      upstream: place.origin + place.path,
      config,
      // Relative links of its first page need the slash.
      preHandler: async (request, reply) => {
        if (request.url.split('?', 1)[0] === place.base) return reply.redirect(`${place.base}/`, 308)
        watchDeparture(request, reply)
      },
      undici: agent as never,
      destroyAgent: true,
      disableRequestLogging: true,
      disableCache: true,
      retryMethods: [],
      websocket: false,
      internalRewriteLocationHeader: false,
      replyOptions: {
        retryDelay: () => null,
        rewriteRequestHeaders: (request, headers) =>
          sentHeaders(request as FastifyRequest, headers, place, tool),
        rewriteHeaders: (headers, request) => givenHeaders(request as FastifyRequest, headers, place, tool),
        onResponse: (_request, reply, response) =>
          passOn(reply as FastifyReply, (response as unknown as { stream: Readable }).stream, place),
        onError: (reply, { error }) => void (reply as FastifyReply).send(unreachable(error)),
      },
    })
    done()
  })
}

/** Serves each tool at `/tools/<name>/`. Throws GW_CONFIG_UNREADABLE for a `ca` that is not there. */
export function registerTools(app: FastifyInstance, tools: Readonly<Record<string, ToolConfig>>): void {
  for (const [name, tool] of Object.entries(tools)) registerTool(app, name, tool)
}
