import { GatewayError } from '../src/core/errors.ts'
import { byProperty } from './by.ts'
import type { AdminRoutes } from './context.ts'

const versionParams = {
  type: 'object',
  properties: { version: { type: 'integer', minimum: 1 } },
  required: ['version'],
}

/** The versions of the table, and what brings a new one. */
export const tableRoutes: AdminRoutes = (app) => {
  app.get(
    '/api/tables',
    {
      schema: {
        tags: ['tables'],
        summary: 'The last 20 versions of the table, newest first, with what each changed',
      },
    },
    async () => app.gateway.tables(),
  )

  app.get<{ Params: { version: number } }>(
    '/api/tables/:version',
    { schema: { tags: ['tables'], summary: 'One version', params: versionParams } },
    async ({ params }) => {
      const found = app.gateway.tables().versions.find(({ version }) => version === params.version)
      if (found === undefined) {
        throw new GatewayError('GW_ADMIN_NOT_FOUND', `table ${params.version} is not among the last 20`)
      }
      return found
    },
  )

  app.post<{ Params: { version: number } }>(
    '/api/tables/:version/rollback',
    {
      schema: {
        tags: ['tables'],
        summary: 'Bring back the routes and services of a version until the files change again',
        params: versionParams,
        body: { type: ['object', 'null'], properties: { by: byProperty } },
      },
    },
    async ({ params }) => app.gateway.rollback(params.version),
  )

  app.post<{ Body: { force?: boolean } | null }>(
    '/api/reload',
    {
      schema: {
        tags: ['tables'],
        summary: 'Read the configuration again',
        description: 'force: take it even if it changes more than guard.maxChangedPercent.',
        body: {
          type: ['object', 'null'],
          additionalProperties: false,
          properties: { force: { type: 'boolean', default: false }, by: byProperty },
        },
      },
    },
    async ({ body }, reply) => {
      const outcome = await app.gateway.reload(body?.force === true)
      return reply.code(outcome.result === 'rejected' ? 422 : 200).send(outcome)
    },
  )
}
