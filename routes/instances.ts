import type { AdminRoutes } from './context.ts'

/** What can be done to single instances. */
export const instanceRoutes: AdminRoutes = (app) => {
  app.post<{ Params: { id: string }; Body: { undo?: boolean; reason?: string } | null }>(
    '/api/instances/:id/drain',
    {
      schema: {
        tags: ['instances'],
        summary: 'Take an instance out of rotation, or back',
        description:
          'id: the id of an instance, its key (encoded), or address:port. Nothing new goes there at once; what is ' +
          'under way finishes. scope: registry = every gateway hears of it; gateway = only this one knows. ' +
          '404 unknown, 409 when several have that name, or to undo the maintenance of somebody else.',
        params: { type: 'object', required: ['id'], properties: { id: { type: 'string', minLength: 1 } } },
        body: {
          type: ['object', 'null'],
          additionalProperties: false,
          properties: {
            undo: { type: 'boolean', default: false },
            reason: { type: 'string', maxLength: 200, pattern: '^[^\\u0000-\\u001f\\u007f]*$', default: '' },
          },
        },
      },
    },
    async ({ params, body }) =>
      app.gateway.drain({
        instance: params.id,
        isUndo: body?.undo ?? false,
        reason: body?.reason ?? '',
      }),
  )
}
