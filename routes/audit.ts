import type { AdminRoutes } from './context.ts'

/** What was changed here, and by whom. */
export const auditRoutes: AdminRoutes = (app) => {
  app.get<{ Querystring: { limit: number } }>(
    '/api/audit',
    {
      schema: {
        tags: ['audit'],
        summary: 'The last 500 changes through the admin API: who, what, with which outcome',
        description:
          'Newest first; of this gateway, since its start. diff: what a reload or rollback changed in the table. Of ' +
          'services that register themselves the last 100 are among them.',
        querystring: {
          type: 'object',
          properties: { limit: { type: 'integer', minimum: 1, maximum: 600, default: 100 } },
        },
      },
    },
    async ({ query }) => ({ entries: app.gateway.audit(query.limit) }),
  )
}
