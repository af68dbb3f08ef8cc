import type { AdminRoutes } from './context.ts'

/** Probes and metrics. */
export const healthRoutes: AdminRoutes = (app) => {
  app.get('/health/live', { schema: { tags: ['health'], summary: 'The process turns' } }, async () => ({
    status: 'live',
  }))

  app.get(
    '/health/ready',
    {
      schema: {
        tags: ['health'],
        summary: 'Requests may be sent here',
        description: '200 when a table is in force; 503 before the first one and while draining.',
      },
    },
    async (_request, reply) => {
      const view = app.gateway.readiness()
      return reply.code(view.status === 'ready' ? 200 : 503).send(view)
    },
  )

  app.get(
    '/metrics',
    { schema: { tags: ['health'], summary: 'Metrics in the Prometheus text format' } },
    async (_request, reply) => {
      const { contentType, body } = await app.gateway.metrics()
      return reply.type(contentType).send(body)
    },
  )
}
