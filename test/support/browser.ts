import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The document of a page in Chromium after its scripts have run for `budgetMs` of the browser's own time. */
export async function dumpDom(url: string, budgetMs = 3000): Promise<string> {
  const profile = mkdtempSync(join(tmpdir(), 'sluice-chromium-'))
  const child = spawn(
    'chromium',
    [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      `--user-data-dir=${profile}`,
      `--virtual-time-budget=${budgetMs}`,
      '--dump-dom',
      url,
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  )
  const timer = setTimeout(() => child.kill('SIGKILL'), 40_000)
  let html = ''
  child.stdout.on('data', (chunk: Buffer) => {
    html += chunk.toString()
  })
  try {
    await once(child, 'close')
    return html
  } finally {
    clearTimeout(timer)
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
  }
}
