import type { TLSSocket } from 'node:tls'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import ipaddr from 'ipaddr.js'
import type { AdminCaller, AdminSessions } from '../src/core/admin-caller.ts'
import { GatewayError } from '../src/core/errors.ts'
import type { Sessions } from './admin-session.ts'

export interface AdminAuthOptions {
  readonly sessions: Sessions
  /** Clients have shown a certificate: the Host header needs no check. */
  readonly hasClientCertificates: boolean
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; the guard sets it before anything else happens. */
    caller: AdminCaller
  }
  interface FastifyInstance {
    readonly adminSessions: AdminSessions
  }
  interface FastifyContextConfig {
    /** `open`: without a token. `question`: changes nothing, whatever its method. */
    readonly access?: 'open' | 'question'
    /** This one changes nothing. */
    readonly asks?: (request: FastifyRequest) => boolean
  }
}

/** What load balancers need without a token; it tells nothing. Routes of the page say so themselves: `access`. */
const OPEN_PATHS = new Set(['/health/live', '/health/ready'])
const READING = new Set(['GET', 'HEAD', 'OPTIONS'])

const NOBODY: AdminCaller = { who: 'nobody', canWrite: false, via: 'open' }

/** What a browser shows to somebody who follows a link without being signed in. */
const SIGN_IN_FIRST =
  '<!doctype html><title>Sluice</title><p>Sign in on <a href="/">the page of the gateway</a> first, then come back.</p>'

function tokenOf(request: FastifyRequest): string | undefined {
  const { authorization } = request.headers
  const bearer = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1]
  // Elsewhere it is a token for somebody else: Consul's own pages send it.
  const consul = request.url.startsWith('/v1/') ? request.headers['x-consul-token'] : undefined
  return bearer ?? (typeof consul === 'string' && consul !== '' ? consul : undefined)
}

/** The name part of a Host or Origin; `` when there is none. */
function hostName(authority: string): string {
  return authority
    .replace(/^https?:\/\//, '')
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '')
    .toLowerCase()
}

/** Subject of the client's certificate; undefined = it has shown none. */
function certificateSubject(request: FastifyRequest): string | undefined {
  const socket = request.raw.socket as Partial<TLSSocket>
  if (socket.authorized !== true) return undefined
  const { subject } = socket.getPeerCertificate?.() ?? {}
  return [subject?.CN ?? subject?.O ?? 'a certificate without a name'].flat().join(' ')
}

/** Changes nothing, whatever its method. */
export function isReading(request: FastifyRequest): boolean {
  if (READING.has(request.method)) return true
  const { access, asks } = request.routeOptions.config ?? {}
  return access === 'question' || asks?.(request) === true
}

/**
 * A web page in the operator's browser must not change anything in their name: a request that changes something must not
 * come from another origin, and one that only a cookie stands for must say where it comes from.
 */
function checkOrigin(request: FastifyRequest, isByCookie: boolean): void {
  const { origin, host = '' } = request.headers
  const isUpgrade = request.headers.upgrade !== undefined
  if (READING.has(request.method) && !isUpgrade) return
  const isSame = origin === undefined ? !isByCookie : origin.replace(/^https?:\/\//, '') === host
  if (isSame) return
  const text =
    origin === undefined
      ? 'a change by a signed-in browser needs its Origin'
      : 'the request comes from a page of another origin'
  throw new GatewayError('GW_ADMIN_UNAUTHORIZED', text)
}

/** Without a token: the Host has to be an address or `localhost`, or a foreign name leads here (DNS rebinding). */
function openCaller(request: FastifyRequest, hasClientCertificates: boolean): AdminCaller {
  if (hasClientCertificates) {
    return { who: certificateSubject(request) ?? 'a certificate', canWrite: true, via: 'certificate' }
  }
  const name = hostName(request.headers.host ?? '')
  if (name === 'localhost' || ipaddr.isValid(name))
    return { who: 'this machine', canWrite: true, via: 'open' }
  throw new GatewayError(
    'GW_ADMIN_UNAUTHORIZED',
    `the Host "${name}" is neither an address nor localhost: set admin.token to use names`,
  )
}

/** A token, if there is one, decides; else the session of a browser. */
function callerOf(request: FastifyRequest, { sessions, hasClientCertificates }: AdminAuthOptions) {
  if (!sessions.isNeeded) return openCaller(request, hasClientCertificates)
  const token = tokenOf(request)
  if (token !== undefined) {
    const caller = sessions.callerOf(token)
    const subject = hasClientCertificates ? certificateSubject(request) : undefined
    return caller === undefined || subject === undefined ? caller : { ...caller, who: subject }
  }
  return sessions.fromCookie(request.headers.cookie, request.headers.host ?? '')
}

async function refuse(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const isLink = request.method === 'GET' && /^text\/html\b/.test(request.headers.accept ?? '')
  if (isLink && request.url.startsWith('/tools/')) {
    reply.header('content-security-policy', "default-src 'none'; frame-ancestors 'none'")
    return reply.code(401).type('text/html; charset=utf-8').send(SIGN_IN_FIRST)
  }
  reply.header('www-authenticate', 'Bearer realm="sluice admin"')
  throw new GatewayError('GW_ADMIN_UNAUTHORIZED', 'send Authorization: Bearer <admin.token>')
}

/** Guards the admin side: who asks, and may they? */
export function guardAdmin(app: FastifyInstance, options: AdminAuthOptions): void {
  // Fastify shares what stands here between requests, so it takes no objects.
  app.decorateRequest('caller', null as unknown as AdminCaller)
  app.decorate('adminSessions', options.sessions)
  app.addHook('onRequest', async (request, reply) => {
    request.caller = NOBODY
    checkOrigin(request, false)
    const path = request.url.split('?')[0] ?? ''
    const isOpen = OPEN_PATHS.has(path) || request.routeOptions.config?.access === 'open'
    const caller = callerOf(request, options)
    if (caller === undefined) return isOpen ? undefined : refuse(request, reply)
    if (caller.via === 'session') checkOrigin(request, true)
    request.caller = caller
    if (!isOpen && !caller.canWrite && !isReading(request)) {
      throw new GatewayError('GW_ADMIN_READ_ONLY', 'admin.readToken changes nothing: use admin.token')
    }
  })
}
