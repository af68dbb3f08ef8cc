import type { FastifyError, FastifyInstance } from 'fastify'
import { type ErrorCode, errorEntry, errorText, GatewayError, problemBody } from '../src/core/errors.ts'

const BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: 'GW_ADMIN_BAD_REQUEST',
  404: 'GW_ADMIN_NOT_FOUND',
  413: 'GW_REQUEST_BODY_TOO_LARGE',
  415: 'GW_ADMIN_BAD_REQUEST',
}

function codeOf(error: unknown): ErrorCode {
  if (error instanceof GatewayError) {
    if (error.code === 'GW_CONFIG_INVALID') return 'GW_ADMIN_UNPROCESSABLE'
    return errorEntry(error.code).status === 0 ? 'GW_GATEWAY_INTERNAL' : error.code
  }
  return BY_STATUS[(error as Partial<FastifyError>).statusCode ?? 500] ?? 'GW_GATEWAY_INTERNAL'
}

/** Errors of the admin side as problem documents. Operators see the detail; clients of the proxy never do. */
export function answerProblems(
  app: FastifyInstance,
  log: { error(fields: object, text: string): void },
): void {
  app.setErrorHandler((error, request, reply) => {
    const code = codeOf(error)
    const { status } = errorEntry(code)
    if (status >= 500) log.error({ url: request.url, err: errorText(error) }, 'an admin request failed')
    return reply
      .code(status)
      .type('application/problem+json')
      .send(problemBody(code, request.id, errorText(error)))
  })
  app.setNotFoundHandler((request, reply) => {
    const detail = `${request.method} ${request.url.split('?')[0]} does not exist; see docs/admin-api.md`
    return reply
      .code(404)
      .type('application/problem+json')
      .send(problemBody('GW_ADMIN_NOT_FOUND', request.id, detail))
  })
}
