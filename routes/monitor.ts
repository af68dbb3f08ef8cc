import type { AdminRoutes } from './context.ts'

const MAX_ENTRIES = 10_000

interface HistoryParams {
  readonly service?: string
  readonly instance?: string
  readonly since?: number
  readonly limit?: number
}

/** What became of instances, and what is wrong. */
export const monitorRoutes: AdminRoutes = (app) => {
  app.get<{ Querystring: HistoryParams }>(
    '/api/history',
    {
      schema: {
        tags: ['monitor'],
        summary: 'Changes of state of instances and registries, the newest first, and which instances flap',
        description:
          'what: appeared, changed, left (the registry), ejected, returned (the gateway). from: how far back it is known. ' +
          'away: it happened while the gateway was down, and was found at its start. Times in ms since the epoch.',
        querystring: {
          type: 'object',
          additionalProperties: false,
          properties: {
            service: { type: 'string', minLength: 1 },
            instance: { type: 'string', minLength: 1, description: 'Key, id or address:port' },
            since: { type: 'number', description: 'Only what is later; ms since the epoch' },
            limit: { type: 'integer', minimum: 0, maximum: MAX_ENTRIES, default: 200 },
          },
        },
      },
    },
    async ({ query }) => app.gateway.history({ ...query, limit: query.limit ?? 200 }),
  )

  app.get(
    '/api/alerts',
    {
      schema: {
        tags: ['monitor'],
        summary: 'Alerts that fire, the worst first, and those that were resolved within the last hour',
        description: 'Rules: monitor.alerts.rules. Each that begins or ends is an event of type alert, too.',
      },
    },
    async () => ({ alerts: app.gateway.alerts() }),
  )
}
