import type { AdminRoutes } from './context.ts'

/** Pages of other programs behind the sign-in. */
export const toolRoutes: AdminRoutes = (app) => {
  app.get(
    '/api/tools',
    {
      schema: {
        tags: ['tools'],
        summary: 'Pages of other programs that are served here: admin.tools',
        description: 'path: where the first page is. A browser needs to be signed in (POST /api/session).',
      },
    },
    async () => ({ tools: app.gateway.tools() }),
  )
}
