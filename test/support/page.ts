import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { type Browser, type BrowserContext, chromium, type Page, type Request } from 'playwright-core'

/** A Chromium without a window. The caller must `close` it. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  })
}

export interface OpenPage {
  readonly page: Page
  readonly context: BrowserContext
  /** Errors and warnings of scripts, of the console and of the content security policy, so far. */
  readonly problems: string[]
  close(): Promise<void>
}

export interface OpenOptions {
  /** What follows `#/`. */
  readonly at?: string
  readonly width?: number
  readonly height?: number
  readonly scheme?: 'light' | 'dark'
  /** JSON by path, in place of what the gateway would say; a number is a status, a function is asked each time. */
  readonly answers?: Readonly<Record<string, unknown>>
}

/** A new tab of its own session at `url`. */
export async function openPage(browser: Browser, url: string, options: OpenOptions = {}): Promise<OpenPage> {
  const { at = '', width = 1280, height = 800, scheme = 'light', answers = {} } = options
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme })
  const page = await context.newPage()
  const problems: string[] = []
  page.on('pageerror', (error) => problems.push(String(error)))
  page.on('console', (message) => {
    if (/error|warning/.test(message.type())) problems.push(message.text())
  })
  await page.route(
    ({ pathname }) => pathname in answers,
    (route) => {
      const request = route.request()
      const given = answers[new URL(request.url()).pathname]
      const answer = typeof given === 'function' ? (given as (asked: Request) => unknown)(request) : given
      return route.fulfill(
        typeof answer === 'number'
          ? { status: answer, json: { detail: `status ${answer}` } }
          : { json: answer },
      )
    },
  )
  await page.goto(`${url}/#/${at}`)
  return { page, context, problems, close: () => context.close() }
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** What axe-core finds wrong with the page as it is now, one line each. */
export async function axeViolations(page: Page): Promise<string[]> {
  // Evaluated by the debugger: the page's own policy would refuse it as a script.
  await page.evaluate(AXE)
  return await page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: {
        run(options: object): Promise<{
          violations: { id: string; nodes: { html: string; failureSummary?: string; target: unknown[] }[] }[]
        }>
      }
    }
    const { violations } = await axe.run({
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    })
    return violations.flatMap(({ id, nodes }) =>
      nodes.map((node) => `${id}: ${node.html.slice(0, 200)}: ${node.failureSummary?.slice(0, 300)}`),
    )
  })
}

/** How far the document is wider than the window. px. */
export function sidewaysScroll(page: Page): Promise<number> {
  return page.evaluate(() => {
    const { document, innerWidth } = globalThis as unknown as {
      document: { documentElement: { scrollWidth: number } }
      innerWidth: number
    }
    return document.documentElement.scrollWidth - innerWidth
  })
}

/** A line to `url` that can break: all connections end, and new ones end at once until it is mended. */
export async function startLine(url: string) {
  const sockets = new Set<Socket>()
  let isCut = false
  const server = createServer((socket) => {
    if (isCut) return socket.destroy()
    const far = connect(Number(new URL(url).port), '127.0.0.1')
    for (const one of [socket, far]) {
      sockets.add(one)
      one
        .on('error', () => {})
        .on('close', () => {
          sockets.delete(one)
          socket.destroy()
          far.destroy()
        })
    }
    socket.pipe(far).pipe(socket)
    return socket
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    isCut = true
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    mend() {
      isCut = false
    },
    close() {
      cut()
      server.close()
    },
  }
}
