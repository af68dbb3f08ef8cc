import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type GatewayProcess, startGateway } from '../support/gateway.ts'
import { openPage, startBrowser } from '../support/page.ts'
import { landscapeAnswers } from '../support/page-answers.ts'

/** 500 services × 10 instances: each interaction is on the screen within 100 ms. */

const LIMIT_MS = 100
let gateway: GatewayProcess
let browser: Browser
let stub: Server
let url: string

/** Answers of a large gateway in front of a real one, which has the files. Figures are others each time. */
async function startStub(): Promise<void> {
  stub = createServer(async (request, response) => {
    const path = (request.url ?? '').split('?')[0] ?? ''
    const answer = landscapeAnswers({ services: 500, instances: 10, now: Date.now() })[path]
    if (answer !== undefined) {
      response.setHeader('content-type', 'application/json').end(JSON.stringify(answer))
      return
    }
    if (path === '/api/events') return void response.writeHead(200).write(': no events\n\n')
    const real = await fetch(gateway.adminUrl + request.url)
    response.statusCode = real.status
    response.setHeader('content-type', real.headers.get('content-type') ?? '')
    const policy = real.headers.get('content-security-policy')
    if (policy !== null) response.setHeader('content-security-policy', policy)
    response.end(Buffer.from(await real.arrayBuffer()))
  })
  await new Promise<void>((resolve) => stub.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(stub.address() as AddressInfo).port}`
}

beforeAll(async () => {
  browser = await startBrowser()
  gateway = await startGateway({ yaml: 'registries: { local: { type: embedded } }' })
  await startStub()
})
afterAll(async () => {
  await browser?.close()
  stub?.close()
  stub?.closeAllConnections()
  gateway?.signal('SIGKILL')
  await gateway?.exited()
})

/** From each press of a key or button to the next picture on the screen, as the browser measures it. ms. */
async function watchInteractions(page: Page): Promise<() => Promise<number[]>> {
  await page.evaluate(() => {
    const scope = globalThis as unknown as {
      seen: number[]
      PerformanceObserver: new (
        callback: (list: { getEntries(): { interactionId: number; duration: number }[] }) => void,
      ) => { observe(options: object): void }
    }
    scope.seen = []
    new scope.PerformanceObserver((list) => {
      for (const { interactionId, duration } of list.getEntries())
        if (interactionId > 0) scope.seen.push(duration)
    }).observe({ type: 'event', durationThreshold: 16 })
  })
  return () =>
    page.evaluate(() => {
      const scope = globalThis as unknown as { seen: number[] }
      return scope.seen.splice(0)
    })
}

type Take = () => Promise<number[]>
/** What is measured, and what brings back the state before, which is not. */
type Round = readonly [act: (round: number) => Promise<unknown>, back?: () => Promise<unknown>]

const ROUNDS = 5

/**
 * The durations of some rounds, shortest first; what took less than 16 ms is not reported and counts as 0. The shortest is
 * the page's own: the machine has other work to do at the same time, which only makes rounds longer.
 */
async function rounds(take: Take, [act, back]: Round): Promise<number[]> {
  const took: number[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    await take()
    await act(round)
    // The observer is told after the frame.
    await new Promise((resolve) => setTimeout(resolve, 200))
    took.push(Math.max(0, ...(await take())))
    await back?.()
  }
  return took.sort((a, b) => a - b)
}

/** What is slow is slow each time; a busy machine is not. */
const ATTEMPTS = 3

/** Measures each and tells of it; none may take longer than the limit. */
async function expectQuick(take: Take, name: string, acts: Readonly<Record<string, Round>>): Promise<void> {
  const slow: string[] = []
  for (const [what, round] of Object.entries(acts)) {
    let isQuick = false
    for (let attempt = 0; attempt < ATTEMPTS && !isQuick; attempt += 1) {
      const took = await rounds(take, round)
      console.info(`${name}, ${what}: ${took.join(', ')} ms`)
      isQuick = (took[0] ?? 0) < LIMIT_MS
    }
    if (!isQuick) slow.push(what)
  }
  expect(slow).toEqual([])
}

test('a list of 500 services is searched, sorted and walked through without waiting', async () => {
  const { page, problems, close } = await openPage(browser, url, { at: 'services' })
  await page.getByText('500 services shown').waitFor()
  // Only what is in sight is in the document.
  expect(await page.getByRole('row').count()).toBeLessThan(80)
  const take = await watchInteractions(page)
  const search = page.getByRole('searchbox')
  const click = (name: string | RegExp) => () => page.getByRole('button', { name }).click()
  await expectQuick(take, '500 services', {
    'sort by rate': [click('Rate'), click('Service')],
    'first letter': [() => search.press('o'), () => search.fill('')],
    'further letters': [(round) => search.press('order'[round] ?? 'x')],
    'back to all': [() => search.press('Backspace'), () => search.fill('')],
    'in trouble': [click(/^In trouble/), click(/^All/)],
    'all again': [click(/^All/), click(/^In trouble/)],
  })
  await click(/^All/)()
  await expectQuick(take, '500 services', {
    'open one': [
      () => page.getByRole('link', { name: 'cart' }).first().click(),
      async () => {
        await page.getByText('10 of 10').waitFor()
        await page.goBack()
        await page.getByText('services shown').waitFor()
      },
    ],
  })
  await page.mouse.move(700, 500)
  await page.mouse.wheel(0, 12_000)
  await page
    .getByRole('row', { name: /-2\d\b/ })
    .first()
    .waitFor()
  expect(await page.getByRole('row').count()).toBeLessThan(80)
  expect(problems).toEqual([])
  await close()
})

test('a picture of 500 services is moved, zoomed, opened and walked through without waiting', async () => {
  const { page, problems, close } = await openPage(browser, url, { at: 'topology' })
  const picture = page.getByRole('application', { name: 'Topology' })
  await picture.getByRole('img', { name: /^service cart,/ }).waitFor()
  const take = await watchInteractions(page)
  await picture.focus()
  const press = (key: string) => () => page.keyboard.press(key)
  await expectQuick(take, 'picture of 500', {
    walk: [press('ArrowDown')],
    'to the service': [press('ArrowRight'), press('ArrowLeft')],
  })
  await page.keyboard.press('ArrowRight')
  await expectQuick(take, 'picture of 500', {
    open: [
      () => page.keyboard.press(' '),
      async () => {
        await picture
          .getByRole('img', { name: /^version/ })
          .first()
          .waitFor()
        await page.keyboard.press(' ')
      },
    ],
    choose: [press('Enter'), press('Enter')],
    'a page down': [press('PageDown')],
    'to the end': [press('End'), press('Home')],
    'all of it': [
      press('0'),
      async () => {
        for (let step = 0; step < 12; step += 1) await page.keyboard.press('+')
      },
    ],
    nearer: [press('+'), press('-')],
    'click one': [() => page.mouse.click(700, 400)],
  })
  const frames = await dragAndCount(page)
  console.info(`picture of 500, longest frame of each drag: ${frames.join(', ')} ms`)
  expect(Math.min(...frames)).toBeLessThan(LIMIT_MS)
  expect(problems).toEqual([])
  await close()
})

/** The longest frame of each of some drags. ms. */
async function dragAndCount(page: Page): Promise<number[]> {
  const longest: number[] = []
  for (let round = 0; round < 5; round += 1) {
    await page.evaluate(() => {
      const scope = globalThis as unknown as {
        frames: number[]
        requestAnimationFrame(callback: (at: number) => void): void
      }
      scope.frames = []
      let last = 0
      const next = (at: number) => {
        if (last > 0) scope.frames.push(at - last)
        last = at
        if (scope.frames.length < 600) scope.requestAnimationFrame(next)
      }
      scope.requestAnimationFrame(next)
    })
    await page.mouse.move(800, 650)
    await page.mouse.down()
    for (let step = 1; step <= 30; step += 1) await page.mouse.move(800, 650 - step * 15)
    await page.mouse.up()
    longest.push(
      await page.evaluate(() =>
        Math.max(...(globalThis as unknown as { frames: number[] }).frames.splice(0, 600)),
      ),
    )
  }
  return longest.map(Math.round)
}
