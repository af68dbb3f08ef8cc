import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import ipaddr from 'ipaddr.js'
import { GatewayError } from '../src/core/errors.ts'

export interface AdminAuthOptions {
  /** Absent: whoever reaches the address may use it (loopback, or client certificates). */
  readonly token: string | undefined
  /** Clients have shown a certificate: the Host header needs no check. */
  readonly hasClientCertificates: boolean
}

/** What load balancers need without a token; it tells nothing. Routes of the page say so themselves: `isOpen`. */
const OPEN_PATHS = new Set(['/health/live', '/health/ready'])
const READING = new Set(['GET', 'HEAD', 'OPTIONS'])

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

function tokenOf(request: FastifyRequest): string {
  const { authorization } = request.headers
  const bearer = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1]
  const consul = request.headers['x-consul-token']
  return bearer ?? (typeof consul === 'string' ? consul : '')
}

/** The name part of a Host or Origin; `` when there is none. */
function hostName(authority: string): string {
  return authority
    .replace(/^https?:\/\//, '')
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '')
    .toLowerCase()
}

/**
 * Guards the admin side. With a token: constant-time compare. Without one: a web page in the operator's browser
 * must not reach it, so the Host has to be an address or `localhost` (DNS rebinding), and a request that changes
 * something must not come from another origin.
 */
export function guardAdmin(app: FastifyInstance, options: AdminAuthOptions): void {
  const expected = options.token === undefined ? undefined : digest(options.token)
  app.addHook('onRequest', async (request, reply) => {
    const path = request.url.split('?')[0] ?? ''
    const { origin, host = '' } = request.headers
    if (!READING.has(request.method) && origin !== undefined && origin.replace(/^https?:\/\//, '') !== host) {
      throw new GatewayError('GW_ADMIN_UNAUTHORIZED', 'the request comes from a page of another origin')
    }
    if (expected === undefined) {
      const name = hostName(host)
      if (options.hasClientCertificates || name === 'localhost' || ipaddr.isValid(name)) return
      throw new GatewayError(
        'GW_ADMIN_UNAUTHORIZED',
        `the Host "${name}" is neither an address nor localhost: set admin.token to use names`,
      )
    }
    const isOpen = OPEN_PATHS.has(path) || request.routeOptions.config.isOpen === true
    if (isOpen || timingSafeEqual(digest(tokenOf(request)), expected)) return
    reply.header('www-authenticate', 'Bearer realm="sluice admin"')
    throw new GatewayError('GW_ADMIN_UNAUTHORIZED', 'send Authorization: Bearer <admin.token>')
  })
}
