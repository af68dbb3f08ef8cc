import type { SessionView } from '../src/core/admin-caller.ts'
import { GatewayError } from '../src/core/errors.ts'
import type { AdminRoutes } from './context.ts'

/** Signing in and out, for browsers. */
export const sessionRoutes: AdminRoutes = (app) => {
  app.get(
    '/api/session',
    { schema: { tags: ['session'], summary: 'Who asks, and may they change something?' } },
    async ({ caller }): Promise<SessionView> => ({ ...caller, hasSignIn: app.adminSessions.isNeeded }),
  )

  app.post<{ Body: { token?: string; by?: string } }>(
    '/api/session',
    {
      config: { access: 'open' },
      schema: {
        tags: ['session'],
        summary: 'Sign in with one of the tokens: a cookie takes its place for admin.sessionTtl',
        description:
          'The cookie is HttpOnly and SameSite=Strict; changes with it need an Origin that is this one. by: who it is, for ' +
          'the audit. 401 when it is not the token.',
        security: [],
        body: {
          type: 'object',
          additionalProperties: false,
          properties: {
            token: { type: 'string', maxLength: 4096, default: '' },
            by: { type: 'string', maxLength: 64, pattern: '^[^\\u0000-\\u001f\\u007f]*$' },
          },
        },
      },
    },
    async (request, reply) => {
      const { token = '', by } = request.body
      const found = app.adminSessions.signIn(token, by === '' ? undefined : by, request.headers.host ?? '')
      if (found === undefined) throw new GatewayError('GW_ADMIN_UNAUTHORIZED', 'this is not the token')
      request.caller = found.caller
      for (const cookie of found.cookies) reply.header('set-cookie', cookie)
      const { expiresAt } = found
      return {
        ...found.caller,
        hasSignIn: app.adminSessions.isNeeded,
        ...(expiresAt === undefined ? {} : { expiresAt }),
      }
    },
  )

  app.delete(
    '/api/session',
    {
      config: { access: 'open' },
      schema: { tags: ['session'], summary: 'Sign out: the cookie is taken away', security: [] },
    },
    async (request, reply) => {
      reply.header('set-cookie', app.adminSessions.signOut(request.headers.host ?? ''))
      return reply.code(204).send()
    },
  )
}
