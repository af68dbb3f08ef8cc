import type { AdminRoutes } from './context.ts'

/** Of how many the last ones are wanted. */
const limitQuery = {
  type: 'object',
  properties: { limit: { type: 'integer', minimum: 1, maximum: 500, default: 100 } },
}

/** What the gateway did not let through. */
export const refusalRoutes: AdminRoutes = (app) => {
  app.get<{ Querystring: { limit: number } }>(
    '/api/refusals',
    {
      schema: {
        tags: ['traffic'],
        summary: 'The last requests that filters, overload or a breaker refused, and why; with counts',
        description:
          'Newest first, of the last 500. counts: by route, filter and code since the start, and of the last minute.',
        querystring: limitQuery,
      },
    },
    async ({ query }) => app.gateway.refusals(query.limit),
  )
}
