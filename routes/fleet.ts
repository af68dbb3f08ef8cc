import { GatewayError } from '../src/core/errors.ts'
import type { AdminRoutes } from './context.ts'

/** What all gateways see, and where they say it. */
export const fleetRoutes: AdminRoutes = (app) => {
  app.get(
    '/api/fleet',
    {
      schema: {
        tags: ['health'],
        summary: 'All gateways that say what they see, and how each sees instances',
      },
    },
    async () => app.gateway.fleet(),
  )

  app.post(
    '/api/fleet/reports',
    {
      schema: {
        tags: ['health'],
        summary: 'What another gateway sees (fleet.push)',
        body: { type: 'object', additionalProperties: true },
        response: { 204: { type: 'null' } },
      },
    },
    async ({ body }, reply) => {
      if (!app.gateway.takeFleetReport(body)) {
        throw new GatewayError('GW_ADMIN_BAD_REQUEST', 'this is no report of a gateway of this version')
      }
      return reply.code(204).send()
    },
  )
}
