import type { AdminRoutes, ExplainRequest } from './context.ts'

/** Questions that change nothing: where would this go, is that valid. */
export const questionRoutes: AdminRoutes = (app) => {
  app.post<{ Body: Partial<ExplainRequest> & { url: string } }>(
    '/api/explain',
    {
      config: { access: 'question' },
      schema: {
        tags: ['questions'],
        summary: 'Which route and version a request takes, why, and to which instances it may go',
        body: {
          type: 'object',
          additionalProperties: false,
          required: ['url'],
          properties: {
            method: { type: 'string', minLength: 1, maxLength: 32, default: 'GET' },
            url: { type: 'string', minLength: 1, maxLength: 16384 },
            headers: { type: 'object', additionalProperties: { type: 'string' }, default: {} },
            clientIp: { type: 'string', maxLength: 64, default: '127.0.0.1' },
            claims: {
              type: 'object',
              description: 'Claims of the client, as if an identity filter had found them; sub is who it is.',
            },
            trusted: { type: 'boolean', description: 'As if it came from a trusted proxy.', default: false },
          },
        },
      },
    },
    async ({ body }) =>
      app.gateway.explain({
        method: body.method ?? 'GET',
        url: body.url,
        headers: body.headers ?? {},
        clientIp: body.clientIp ?? '127.0.0.1',
        trusted: body.trusted ?? false,
        ...(body.claims === undefined ? {} : { claims: body.claims }),
      }),
  )

  app.post<{ Body: { files?: Record<string, string> } | null }>(
    '/api/validate',
    {
      config: { access: 'question' },
      schema: {
        tags: ['questions'],
        summary: 'Check a configuration without taking it',
        description:
          'files: contents by name relative to the folder of sluice.yaml (sluice.yaml, routes.d/x.yaml, canary.d/x.yaml). ' +
          'kv:routes.d/x.yaml: in the configuration store; a revision is whole, so name all of it. ' +
          'What is not named is taken from disk; without files the configuration on disk is checked.',
        body: {
          type: ['object', 'null'],
          additionalProperties: false,
          properties: { files: { type: 'object', additionalProperties: { type: 'string' } } },
        },
      },
    },
    async ({ body }) => app.gateway.validate(body?.files ?? {}),
  )

  app.post<{ Body: { files?: Record<string, string>; whole?: boolean; examples?: number } | null }>(
    '/api/preview',
    {
      config: { access: 'question' },
      schema: {
        tags: ['questions'],
        summary:
          'What a configuration would change: routes and services, and the fate of remembered requests',
        description:
          'files: as for /api/validate. whole: files of the gateway that are not named are as if they were not there. ' +
          'Old and new table are asked over the requests that recorder remembers; filters that can be replayed (network ' +
          'lists, limits) say what they would have refused. Nothing is taken.',
        body: {
          type: ['object', 'null'],
          additionalProperties: false,
          properties: {
            files: { type: 'object', additionalProperties: { type: 'string' } },
            whole: { type: 'boolean', default: false },
            examples: { type: 'integer', minimum: 0, maximum: 50, default: 3 },
          },
        },
      },
    },
    async ({ body }) =>
      app.gateway.preview({
        files: body?.files ?? {},
        isWhole: body?.whole === true,
        examples: body?.examples ?? 3,
      }),
  )
}
