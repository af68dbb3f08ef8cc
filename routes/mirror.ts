import { GatewayError } from '../src/core/errors.ts'
import type { AdminRoutes } from './context.ts'

const nameParams = {
  type: 'object',
  properties: { name: { type: 'string', minLength: 1 } },
  required: ['name'],
}

/** Mirrors and contracts: what was found, and how to begin anew. */
export const mirrorRoutes: AdminRoutes = (app) => {
  app.get(
    '/api/mirror',
    {
      schema: {
        tags: ['mirror'],
        summary: 'What became of copies of requests, and in what their answers differ, by JSON path',
        description: 'Values in examples are masked. isNoise: stable differs from itself there, too.',
      },
    },
    async () => ({ mirrors: app.gateway.mirrors() }),
  )

  app.post<{ Params: { name: string } }>(
    '/api/mirror/:name/reset',
    { schema: { tags: ['mirror'], summary: 'Begin the report of a mirror anew', params: nameParams } },
    async ({ params }) => {
      if (!app.gateway.resetMirror(params.name)) {
        throw new GatewayError('GW_ADMIN_NOT_FOUND', `no mirror "${params.name}" has sent anything`)
      }
      return { mirror: params.name }
    },
  )

  app.get(
    '/api/contracts',
    {
      schema: {
        tags: ['mirror'],
        summary: 'Shapes of JSON answers by route and version, and fields that were dropped or retyped',
      },
    },
    async () => ({ contracts: app.gateway.contracts() }),
  )

  app.delete<{ Params: { name: string } }>(
    '/api/contracts/:name',
    {
      schema: {
        tags: ['mirror'],
        summary: 'Forget what a route answered: what it answers from now on is right',
        params: nameParams,
      },
    },
    async ({ params }) => {
      if (!app.gateway.forgetContract(params.name)) {
        throw new GatewayError('GW_ADMIN_NOT_FOUND', `nothing is known of route "${params.name}"`)
      }
      return { route: params.name }
    },
  )
}
