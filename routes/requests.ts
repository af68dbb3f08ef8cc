import { GatewayError } from '../src/core/errors.ts'
import type { AdminRoutes } from './context.ts'

/** Real requests that were explained. */
export const requestRoutes: AdminRoutes = (app) => {
  const tags = ['questions']

  app.get(
    '/api/requests',
    {
      schema: {
        tags,
        summary: 'The last 100 real requests that came with a debug token, explained, newest first',
        description:
          'As POST /api/explain, and what did happen: filters with their verdict and time, the principal, tries, status. ' +
          'isEnabled: admin.debugKey is set.',
      },
    },
    async () => ({ requests: app.gateway.requests() ?? [], isEnabled: app.gateway.requests() !== undefined }),
  )

  app.get<{ Params: { id: string } }>(
    '/api/requests/:id',
    { schema: { tags, summary: 'One of them, by its id or its request id' } },
    async ({ params: { id } }) => {
      const found = app.gateway.requests()?.find((one) => one.id === id || one.requestId === id)
      if (found === undefined) throw new GatewayError('GW_ADMIN_NOT_FOUND', `no explained request "${id}"`)
      return found
    },
  )
}
