import { join } from 'node:path'
import type { AdminRoutes } from './context.ts'
import { readPageFiles } from './page-files.ts'

/** The page. It holds no data: its scripts ask the API, with the operator's token if there is one. */
export const pageRoutes: AdminRoutes = (app) => {
  const { files, csp } = readPageFiles(join(import.meta.dirname, 'page'))
  for (const { url, type, body, etag } of files) {
    app.get(url, { schema: { hide: true }, config: { access: 'open' } }, (request, reply) => {
      reply.headers({ 'cache-control': 'no-cache', etag, 'referrer-policy': 'no-referrer' })
      // On all of them: a worker has the policy of its script.
      reply.header('content-security-policy', csp)
      if (request.headers['if-none-match'] === etag) return reply.code(304).send()
      return reply.type(type).send(body)
    })
  }
}
