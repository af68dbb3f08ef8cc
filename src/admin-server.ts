import { readFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type FastifyInstance, type FastifyServerOptions, fastify } from 'fastify'
import { guardAdmin } from '../plugins/admin-auth.ts'
import { answerProblems } from '../plugins/admin-errors.ts'
import { Sessions } from '../plugins/admin-session.ts'
import type { Audit } from '../plugins/audit.ts'
import { registerTools } from '../plugins/tools.ts'
import type { AdminContext } from '../routes/context.ts'
import { ADMIN_ROUTES } from '../routes/index.ts'
import type { ToolConfig } from './config/tools.ts'
import { errorText, GatewayError } from './core/errors.ts'

export interface AdminServerOptions {
  readonly host: string
  readonly port: number
  readonly token?: string | undefined
  /** May look at everything and change nothing. */
  readonly readToken?: string | undefined
  /** How long a browser stays signed in. ms; default 8 hours. */
  readonly sessionTtl?: number
  /** Looks on at changes. */
  readonly audit?: Audit
  /** PEM files. */
  readonly tls?:
    | { readonly cert: string; readonly key: string; readonly clientCa?: string | undefined }
    | undefined
  /** Pages of other programs, by name. */
  readonly tools?: Readonly<Record<string, ToolConfig>>
  readonly context: AdminContext
  readonly log: { error(fields: object, text: string): void }
  /** Adds to the application before its routes. */
  readonly prepare?: (app: FastifyInstance) => void
}

/** The admin side: API, probes, metrics, page, embedded registry. */
export interface AdminServer {
  /** Resolves to the port. Throws GW_LISTEN_FAILED. */
  listen(): Promise<number>
  close(): Promise<void>
}

/** Bodies here are registrations and configurations. Bytes. */
const BODY_LIMIT = 4 * 1024 * 1024

function readPem(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw new GatewayError('GW_CONFIG_UNREADABLE', `admin.tls: ${file} cannot be read`, { cause })
  }
}

function tlsOptions({ tls }: AdminServerOptions): FastifyServerOptions {
  if (tls === undefined) return {}
  const https = {
    cert: readPem(tls.cert),
    key: readPem(tls.key),
    ...(tls.clientCa === undefined
      ? {}
      : { ca: readPem(tls.clientCa), requestCert: true, rejectUnauthorized: true }),
  }
  return { https } as FastifyServerOptions
}

/** How long a browser stays signed in, unless the configuration says. ms. */
const SESSION_MS = 8 * 60 * 60_000

/**
 * On every answer that has none of its own, also those that no route gives: nothing of it is a page, and nobody may frame
 * it, or a page of a tool could reach out of what its own policy allows.
 */
const NO_PAGE = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox"

/** The admin application without a port; the OpenAPI document is made from it, too. */
export function createAdminApp(options: AdminServerOptions): FastifyInstance {
  const app = fastify({
    ...tlsOptions(options),
    logger: false,
    bodyLimit: BODY_LIMIT,
    // Ids of Consul services may be long.
    routerOptions: { maxParamLength: 1024 },
    forceCloseConnections: true,
    requestTimeout: 30_000,
    // Numbers in paths become numbers, everything else must be what it says.
    ajv: { customOptions: { coerceTypes: true, removeAdditional: false, allErrors: true } },
  })
  app.decorate('gateway', options.context)
  app.server.prependListener('request', (_request, response: ServerResponse) => {
    response.setHeader('content-security-policy', NO_PAGE)
  })
  // Consul's clients send JSON with whatever content type comes to their mind, or a body of none.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    if (body.length === 0) return done(null, null)
    try {
      done(null, JSON.parse(body as string))
    } catch (thrown) {
      done(new GatewayError('GW_ADMIN_BAD_REQUEST', `the body is no JSON: ${errorText(thrown)}`))
    }
  })
  app.addHook('onSend', async (_request, reply) => {
    reply.header('x-content-type-options', 'nosniff')
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store')
  })
  const { token, readToken, sessionTtl: ttlMs = SESSION_MS } = options
  guardAdmin(app, {
    sessions: new Sessions({ token, readToken, ttlMs, isSecure: options.tls !== undefined, now: Date.now }),
    hasClientCertificates: options.tls?.clientCa !== undefined,
  })
  options.audit?.watch(app)
  answerProblems(app, options.log)
  options.prepare?.(app)
  registerTools(app, options.tools ?? {})
  // As a plugin: it waits for what `prepare` registered.
  void app.register(async (own) => {
    for (const routes of ADMIN_ROUTES) routes(own)
  })
  return app
}

/** Creates the admin side. */
export function createAdminServer(options: AdminServerOptions): AdminServer {
  const app = createAdminApp(options)
  return {
    async listen() {
      const { host, port } = options
      try {
        await app.listen({ host, port })
      } catch (cause) {
        throw new GatewayError('GW_LISTEN_FAILED', `admin.address ${host}:${port}`, { cause })
      }
      return (app.server.address() as AddressInfo).port
    },
    async close() {
      await app.close()
    },
  }
}
