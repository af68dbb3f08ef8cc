import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** One file of the page as it is sent. */
export interface PageFile {
  readonly url: string
  readonly type: string
  readonly body: string
  /** Strong, quoted (RFC 9110 §8.8.3). */
  readonly etag: string
}

export interface PageFiles {
  readonly files: readonly PageFile[]
  /** Of the document. */
  readonly csp: string
}

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
}

/** What scripts of the page import by name, and from where it is served. Their files come with the packages. */
const VENDOR = [
  ['preact', '/vendor/preact.js'],
  ['preact/hooks', '/vendor/preact-hooks.js'],
  ['htm', '/vendor/htm.js'],
  ['@dagrejs/dagre', '/vendor/dagre.js'],
] as const

const digest = (text: string) => createHash('sha256').update(text).digest('base64')

function pageFile(url: string, body: string): PageFile {
  const type = TYPES[url.slice(url.lastIndexOf('.') + 1)] ?? 'text/plain; charset=utf-8'
  return { url, type, body, etag: `"${digest(body).slice(0, 22)}"` }
}

/** Without the comment that names a source map: maps are not served. */
const withoutMap = (text: string) => text.replace(/^\/\/# sourceMappingURL=.*$/m, '')

function csp(inlineScript: string): string {
  return [
    "default-src 'none'",
    `script-src 'self' 'sha256-${digest(inlineScript)}'`,
    "style-src 'self'",
    "worker-src 'self'",
    "connect-src 'self'",
    'img-src data:',
    "form-action 'none'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}

/**
 * Every file of the page, read once: `folder` under `/page/`, libraries under `/vendor/`, and the document at `/` with its
 * import map, style sheets and preloads, so that adding a file to the folder is enough.
 */
export function readPageFiles(folder: string): PageFiles {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => name.replaceAll('\\', '/'))
    .filter((name) => /\.(?:js|css)$/.test(name))
    .sort()
  const own = names.map((name) => pageFile(`/page/${name}`, readFileSync(join(folder, name), 'utf8')))
  const vendor = VENDOR.map(([name, url]) =>
    pageFile(url, withoutMap(readFileSync(fileURLToPath(import.meta.resolve(name)), 'utf8'))),
  )
  const importMap = JSON.stringify({ imports: Object.fromEntries(VENDOR) })
  const links = own.map(({ url }) =>
    url.endsWith('.css')
      ? `<link rel="stylesheet" href="${url}">`
      : url.endsWith('-worker.js')
        ? ''
        : `<link rel="modulepreload" href="${url}">`,
  )
  const html = readFileSync(join(folder, 'index.html'), 'utf8').replace(
    '<!-- files -->',
    () => `<script type="importmap">${importMap}</script>\n${links.filter(Boolean).join('\n')}`,
  )
  const document = pageFile('/index.html', html)
  return { files: [{ ...document, url: '/' }, ...own, ...vendor], csp: csp(importMap) }
}
