import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'

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
  /** Errors of scripts, of the console and of the content security policy, so far. */
  readonly problems: string[]
}

export interface OpenOptions {
  readonly width?: number
  readonly height?: number
  readonly scheme?: 'light' | 'dark'
  /** JSON by path (without its query), in place of what the gateway would say; a number is a status. */
  readonly answers?: Readonly<Record<string, unknown>>
}

/** A new tab of its own session at `url`. */
export async function openPage(browser: Browser, url: string, options: OpenOptions = {}): Promise<OpenPage> {
  const { width = 1280, height = 800, scheme = 'light', answers = {} } = options
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme })
  const page = await context.newPage()
  const problems: string[] = []
  page.on('pageerror', (error) => problems.push(String(error)))
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') problems.push(message.text())
  })
  await page.route(
    ({ pathname }) => pathname in answers,
    (route) => {
      const answer = answers[new URL(route.request().url()).pathname]
      return typeof answer === 'number'
        ? route.fulfill({ status: answer, json: {} })
        : route.fulfill({ json: typeof answer === 'function' ? answer(route.request()) : answer })
    },
  )
  await page.goto(url)
  return { page, context, problems }
}
