import type { FastifyReply } from 'fastify'
import { GatewayError } from '../src/core/errors.ts'
import type { AdminRoutes, AgentAnswer } from './context.ts'

const STATES = { pass: 'passing', warn: 'warning', fail: 'critical' } as const

const send = (reply: FastifyReply, { status, body }: AgentAnswer) =>
  reply.code(status).type('text/plain; charset=utf-8').send(body)

/** Consul's agent endpoints for registration, answered by the embedded registry. */
export const agentRoutes: AdminRoutes = (app) => {
  const tags = ['embedded registry']

  app.put<{ Querystring: { 'replace-existing-checks'?: string } }>(
    '/v1/agent/service/register',
    { schema: { tags, summary: 'Register an instance' } },
    (request, reply) => {
      const replace = request.query['replace-existing-checks']
      const isReplacing = replace !== undefined && replace !== 'false'
      return send(reply, app.gateway.agent().register(request.body, isReplacing))
    },
  )

  app.put<{ Params: { id: string } }>(
    '/v1/agent/service/deregister/:id',
    { schema: { tags, summary: 'Take an instance out' } },
    (request, reply) => send(reply, app.gateway.agent().deregister(request.params.id)),
  )

  app.put<{ Params: { id: string }; Querystring: { enable?: string; reason?: string } }>(
    '/v1/agent/service/maintenance/:id',
    { schema: { tags, summary: 'Put an instance into maintenance, or back' } },
    (request, reply) => {
      const { enable, reason } = request.query
      if (enable !== 'true' && enable !== 'false') {
        return send(reply, { status: 400, body: 'Missing value for enable: write ?enable=true or false' })
      }
      return send(
        reply,
        app.gateway.agent().maintenance(request.params.id, enable === 'true' ? (reason ?? '') : undefined),
      )
    },
  )

  for (const verb of ['pass', 'warn', 'fail'] as const) {
    app.put<{ Params: { id: string }; Querystring: { note?: string } }>(
      `/v1/agent/check/${verb}/:id`,
      { schema: { tags, summary: `A TTL check says ${STATES[verb]}` } },
      (request, reply) =>
        send(reply, app.gateway.agent().report(request.params.id, STATES[verb], request.query.note ?? '')),
    )
  }

  app.put<{ Params: { id: string }; Body: { Status?: string; Output?: string } | null }>(
    '/v1/agent/check/update/:id',
    { schema: { tags, summary: 'A TTL check says what the body says' } },
    (request, reply) => {
      const status = request.body?.Status
      if (status !== 'passing' && status !== 'warning' && status !== 'critical') {
        return send(reply, { status: 400, body: 'Status must be passing, warning or critical' })
      }
      return send(reply, app.gateway.agent().report(request.params.id, status, request.body?.Output ?? ''))
    },
  )

  app.get('/v1/agent/services', { schema: { tags, summary: 'All instances' } }, async () =>
    app.gateway.agent().services(),
  )
  app.get('/v1/agent/checks', { schema: { tags, summary: 'All checks' } }, async () =>
    app.gateway.agent().checks(),
  )
  app.get('/v1/agent/self', { schema: { tags, summary: 'Who answers here' } }, async () => {
    app.gateway.agent()
    return { Config: { NodeName: 'sluice', Server: false, Version: app.gateway.version } }
  })

  app.all('/v1/*', { schema: { hide: true } }, (request) => {
    throw new GatewayError(
      'GW_ADMIN_NOT_FOUND',
      `${request.method} ${request.url.split('?')[0]} is not part of the embedded registry: it has only agent registration`,
    )
  })
}
