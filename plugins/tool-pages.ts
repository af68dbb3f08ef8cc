/** What pages of a tool need to be at home below `/tools/<name>`, and what keeps them there. */

/** Where one tool is. */
export interface ToolPlace {
  /** `/tools/consul`. */
  readonly base: string
  /** Path of its url, without a slash at the end. */
  readonly path: string
  /** `http://127.0.0.1:8500`. */
  readonly origin: string
  /** Paths from the root that its pages use. */
  readonly roots: readonly string[]
}

/** The script that leads calls of pages to the tool; below `base`. */
export const LEAD_SCRIPT = '/-/lead.js'

/** Scripts of a tool ask for `/v1/…`; the browser would ask the gateway. Runs before them. */
export function leadScript({ base, roots }: ToolPlace): string {
  return `(() => {
  const base = ${JSON.stringify(base)}
  const roots = ${JSON.stringify(roots)}
  const lead = (address) => {
    const url = new URL(String(address), document.baseURI)
    if (url.origin !== location.origin || !roots.some((root) => url.pathname.startsWith(root))) return address
    return base + url.pathname + url.search + url.hash
  }
  const { open } = XMLHttpRequest.prototype
  XMLHttpRequest.prototype.open = function (method, url, ...rest) {
    return open.call(this, method, lead(url), ...rest)
  }
  const { fetch, EventSource } = window
  window.fetch = (input, init) =>
    input instanceof Request ? fetch(new Request(lead(input.url), input), init) : fetch(lead(input), init)
  window.EventSource = class extends EventSource {
    constructor(url, init) {
      super(lead(url), init)
    }
  }
})()
`
}

/** A page of the tool with its paths led through here, and the script for those that scripts put together. */
export function leadPage(html: string, { base, roots }: ToolPlace): string {
  let page = html
  for (const root of roots) {
    for (const quote of ['"', "'", '`', '=']) page = page.replaceAll(quote + root, quote + base + root)
  }
  const script = `<script src="${base}${LEAD_SCRIPT}"></script>`
  const head = /<head(?:\s[^>]*)?>/i
  return head.test(page) ? page.replace(head, (tag) => tag + script) : script + page
}

/** Where a redirect of the tool leads a browser; what is below the tool stays there, other places are left as they are. */
export function leadLocation(location: string, { base, path, origin, roots }: ToolPlace): string {
  const isAbsolute = /^[a-z][\w+.-]*:|^\/\//i.test(location)
  if (isAbsolute) {
    const url = URL.parse(location, origin)
    if (url === null || url.origin !== origin) return location
    return leadLocation(url.pathname + url.search + url.hash, { base, path, origin, roots })
  }
  // Relative to the page: right as it is.
  if (!location.startsWith('/')) return location
  if (location.startsWith(`${base}/`) && !path.startsWith(base)) return location
  if (path === '' || location === path || location.startsWith(`${path}/`)) {
    return base + (location.slice(path.length) || '/')
  }
  return roots.some((root) => location.startsWith(root)) ? base + location : `${base}/`
}

/** Of a Host that may stand in a policy. */
const HOST = /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d+)?$/i

/**
 * A tool's page is of the same origin as the page of the gateway: a hole in the one must not be a hole in the other. So its
 * scripts may call, post to and frame only what is below the tool, and open no windows, which they could reach into.
 */
export function toolPolicy(host: string, base: string): string {
  const place = HOST.test(host) ? `${host}${base}/` : "'none'"
  return [
    `connect-src ${place}`,
    `form-action ${place}`,
    `frame-src ${place}`,
    "object-src 'none'",
    `worker-src ${place} blob:`,
    "frame-ancestors 'none'",
    "base-uri 'none'",
    'sandbox allow-scripts allow-same-origin allow-forms allow-downloads allow-modals',
  ].join('; ')
}
