import { GatewayError } from '../src/core/errors.ts'
import { PRIORITY_CLASSES } from '../src/core/priority-class.ts'
import type { AdminRoutes } from './context.ts'

const CLASS = `class (${PRIORITY_CLASSES.join(', ')}): who goes first when there is not enough for all; absent = as each request shows who sent it.`

/** Routes, services, topology. */
export const routingRoutes: AdminRoutes = (app) => {
  app.get(
    '/api/routes',
    { schema: { tags: ['routing'], summary: 'Routes of the table in force', description: CLASS } },
    async () => ({
      routes: app.gateway.routes(),
    }),
  )

  app.get<{ Params: { name: string } }>(
    '/api/routes/:name',
    { schema: { tags: ['routing'], summary: 'One route', description: CLASS } },
    async ({ params }) => {
      const route = app.gateway.routes().find(({ name }) => name === params.name)
      if (route === undefined) throw new GatewayError('GW_ADMIN_NOT_FOUND', `no route "${params.name}"`)
      return route
    },
  )

  app.get(
    '/api/services',
    { schema: { tags: ['routing'], summary: 'Services with their instances' } },
    async () => ({ services: app.gateway.services() }),
  )

  app.get<{ Params: { name: string } }>(
    '/api/services/:name',
    { schema: { tags: ['routing'], summary: 'One service' } },
    async ({ params }) => {
      const service = app.gateway.services().find(({ name }) => name === params.name)
      if (service === undefined) throw new GatewayError('GW_ADMIN_NOT_FOUND', `no service "${params.name}"`)
      return service
    },
  )

  app.get(
    '/api/topology',
    { schema: { tags: ['routing'], summary: 'Gateway, registries, services, instances, problems' } },
    async () => app.gateway.topology(),
  )
}
