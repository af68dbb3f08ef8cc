import swagger from '@fastify/swagger'
import type { AdminContext } from '../../routes/context.ts'
import { createAdminApp } from '../../src/admin-server.ts'

/** The OpenAPI document of the admin side, from the routes themselves. */
export async function openapiDocument(version: string): Promise<unknown> {
  const app = createAdminApp({
    host: '127.0.0.1',
    port: 0,
    // Nothing is called: only the routes' schemas are read.
    context: { version } as AdminContext,
    log: { error: () => {} },
    prepare: (own) => {
      void own.register(swagger, {
        openapi: {
          openapi: '3.1.0',
          info: {
            title: 'Sluice admin API',
            version,
            description: 'See docs/admin-api.md. Errors are application/problem+json (RFC 9457).',
          },
          components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
          security: [{ token: [] }],
        },
      })
    },
  })
  await app.ready()
  const document = app.swagger()
  await app.close()
  return document
}
