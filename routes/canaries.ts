import { GatewayError } from '../src/core/errors.ts'
import type { AdminRoutes } from './context.ts'

/** Lanes and canary rules. */
export const canaryRoutes: AdminRoutes = (app) => {
  app.get(
    '/api/canaries',
    {
      schema: {
        tags: ['canaries'],
        summary: 'Lanes and canary rules of the table in force, with their sides',
      },
    },
    async () => ({ canaries: app.gateway.canaries() }),
  )

  app.get<{ Params: { name: string } }>(
    '/api/canaries/:name',
    { schema: { tags: ['canaries'], summary: 'One lane or canary rule' } },
    async ({ params }) => {
      const canary = app.gateway.canaries().find(({ name }) => name === params.name)
      if (canary === undefined)
        throw new GatewayError('GW_ADMIN_NOT_FOUND', `no canary rule "${params.name}"`)
      return canary
    },
  )
}
