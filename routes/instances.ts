import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import Negotiator from 'negotiator'
import { byProperty } from './by.ts'
import type { AdminRoutes } from './context.ts'

const VERDICT =
  '200 healthy, 503 unhealthy, 200 unknown when the gateway cannot tell (with ?strict=1: 503). Accept: text/plain gives ' +
  'one word. An instance is named by address:port, id, key, or by address or node where that is one.'

function answerVerdict(
  app: FastifyInstance,
  request: FastifyRequest,
  reply: FastifyReply,
  instance: string | undefined,
) {
  const { service } = request.params as { service: string }
  const { strict } = request.query as { strict?: string }
  const view = app.gateway.health(service, instance)
  const isStrict = strict !== undefined && strict !== '0' && strict !== 'false'
  const isBad = view.verdict === 'unhealthy' || (view.verdict === 'unknown' && isStrict)
  void reply.code(isBad ? 503 : 200)
  const wantsText = new Negotiator(request).mediaType(['application/json', 'text/plain']) === 'text/plain'
  return wantsText ? reply.type('text/plain; charset=utf-8').send(`${view.verdict}\n`) : reply.send(view)
}

/** What can be asked of single instances, and done to them. */
export const instanceRoutes: AdminRoutes = (app) => {
  app.get<{ Params: { service: string }; Querystring: { strict?: string; instance?: string } }>(
    '/api/health/:service',
    {
      schema: {
        tags: ['instances'],
        summary: 'Is a service, or one ?instance= of it, healthy? For scripts',
        description: VERDICT,
      },
    },
    async (request, reply) => answerVerdict(app, request, reply, request.query.instance),
  )

  app.get<{ Params: { service: string; instance: string }; Querystring: { strict?: string } }>(
    '/api/health/:service/:instance',
    { schema: { tags: ['instances'], summary: 'Is an instance healthy? For scripts', description: VERDICT } },
    async (request, reply) => answerVerdict(app, request, reply, request.params.instance),
  )

  app.post<{ Params: { id: string }; Body: { undo?: boolean; reason?: string } | null }>(
    '/api/instances/:id/drain',
    {
      schema: {
        tags: ['instances'],
        summary: 'Take an instance out of rotation, or back',
        description:
          'id: the id of an instance, its key (encoded), or address:port. Nothing new goes there at once; what is ' +
          'under way finishes. scope: registry = every gateway hears of it; gateway = only this one knows. ' +
          '404 unknown, 409 when several have that name, or to undo the maintenance of somebody else.',
        params: { type: 'object', required: ['id'], properties: { id: { type: 'string', minLength: 1 } } },
        body: {
          type: ['object', 'null'],
          additionalProperties: false,
          properties: {
            undo: { type: 'boolean', default: false },
            reason: { type: 'string', maxLength: 200, pattern: '^[^\\u0000-\\u001f\\u007f]*$', default: '' },
            by: byProperty,
          },
        },
      },
    },
    async ({ params, body }) =>
      app.gateway.drain({
        instance: params.id,
        isUndo: body?.undo ?? false,
        reason: body?.reason ?? '',
      }),
  )
}
