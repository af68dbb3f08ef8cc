import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AdminRoutes } from './context.ts'

const FILES = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/page.js': ['page.js', 'text/javascript; charset=utf-8'],
  '/page.css': ['page.css', 'text/css; charset=utf-8'],
} as const

const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

/** The page. It holds no data: its script asks the API, with the operator's token if there is one. */
export const pageRoutes: AdminRoutes = (app) => {
  for (const [url, [file, type]] of Object.entries(FILES)) {
    const text = readFileSync(join(import.meta.dirname, 'page', file), 'utf8')
    app.get(url, { schema: { hide: true } }, (_request, reply) =>
      reply
        .headers({
          'content-security-policy': CSP,
          'referrer-policy': 'no-referrer',
          'cache-control': 'no-cache',
        })
        .type(type)
        .send(text),
    )
  }
}
