import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'
import { nameMatch } from '../../src/cli/figures.ts'
import { askMonitor, type MonitorAnswers } from '../../src/cli/monitor-answers.ts'
import { servicesTable } from '../../src/cli/services.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import { watchTable } from '../../src/cli/watch-table.ts'
import { useCleanups } from '../support/cleanup.ts'
import { aShopInstance, aShopService, someAnswers } from '../support/monitor-views.ts'
import { waitFor } from '../support/wait.ts'

const { later } = useCleanups()

/** An admin side whose services a test sets. */
async function anAdmin() {
  const state = { available: 2, isDown: false, asked: 0 }
  const streams: ServerResponse[] = []
  const server = createServer((request, response) => {
    if (state.isDown) return void request.socket.destroy()
    if (request.url === '/api/events') {
      streams.push(response)
      return void response.writeHead(200, { 'content-type': 'text/event-stream' }).write('id: a-0\n\n')
    }
    if (request.url !== '/api/topology') return void response.writeHead(404).end('{}')
    state.asked++
    const instances = [1, 2].map((n) =>
      aShopInstance(n, n > state.available ? { state: 'critical', use: 'out' } : {}),
    )
    return void response.end(JSON.stringify(someAnswers([aShopService(instances)]).topology))
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  later(() => {
    server.closeAllConnections()
    server.close()
  })
  return { state, streams, admin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

/** Watches it on a screen of 80 × 6 that a test can read. */
function aWatch(admin: string, refreshMs: number, hasScreen = true) {
  const [out, err]: [string[], string[]] = [[], []]
  let written = ''
  let resized = () => {}
  const size = { columns: 80, rows: 6 }
  const terminal: Terminal = {
    env: {},
    hasColor: false,
    out: (text) => void out.push(text),
    err: (text) => void err.push(text),
    screen: {
      columns: () => size.columns,
      rows: () => size.rows,
      write(text) {
        written += text
      },
      onResize(listener) {
        resized = listener
        return () => {
          resized = () => {}
        }
      },
    },
  }
  const ended = new AbortController()
  const table = (answers: MonitorAnswers) =>
    servicesTable(answers, { name: nameMatch(undefined), problems: false, routed: false })
  const watched = {
    verb: 'services',
    target: { admin },
    isJson: !hasScreen,
    isStrict: false,
    refreshMs,
    ask: () => askMonitor({ admin }, { fleet: false }),
    table,
    json: (answers: MonitorAnswers) => JSON.stringify({ at: answers.topology.at }),
  }
  const code = watchTable(watched, terminal, ended.signal)
  later(() => {
    ended.abort()
    return code.catch(() => {})
  })
  return {
    out,
    err,
    code,
    end: () => ended.abort(),
    written: () => written,
    lines: () => stripVTControlCharacters(written.slice(written.lastIndexOf('\x1b[H'))).split('\r\n'),
    resize(columns: number, rows: number) {
      Object.assign(size, { columns, rows })
      resized()
    },
  }
}

const HOUR = 3_600_000

test('an event is followed by a look at once, however long it is till the next one', async () => {
  const { state, streams, admin } = await anAdmin()
  const watch = aWatch(admin, HOUR)
  await waitFor(() => streams.length === 1 && watch.lines()[1]?.startsWith('SERVICE'))
  expect(watch.lines()[2]).toMatch(/^shop +healthy +2\/2/)
  // Opening the stream is a reason to look, too.
  await waitFor(() => state.asked === 2)
  state.available = 1
  streams[0]?.write('id: a-1\nevent: instance\ndata: {"at":1}\n\n')
  await waitFor(() => watch.lines()[2]?.match(/^shop +degraded +1\/2/))
  expect(state.asked).toBe(3)
  watch.end()
  expect(await watch.code).toBe(1)
  expect(watch.written()).toMatch(/^\x1b\[\?25l[\s\S]*\x1b\[\?25h\r\n$/)
})

test('a smaller screen is filled anew, no line longer, no more of them', async () => {
  const { admin } = await anAdmin()
  const watch = aWatch(admin, HOUR)
  await waitFor(() => watch.lines().length > 2)
  watch.resize(20, 2)
  expect(watch.lines()).toHaveLength(2)
  expect(watch.lines().filter((line) => line.length > 20)).toEqual([])
})

test('a gateway that is away leaves the last answer standing, and calls it stale; at the end that is 2', async () => {
  const { state, streams, admin } = await anAdmin()
  const watch = aWatch(admin, 250)
  await waitFor(() => watch.lines()[0]?.includes('ready, table 7'))
  state.isDown = true
  streams[0]?.destroy()
  await waitFor(() => watch.lines()[0]?.includes('stale, last answer'))
  expect(watch.lines()[2]).toMatch(/^shop +healthy +2\/2/)
  state.isDown = false
  await waitFor(() => watch.lines()[0]?.includes('ready, table 7'))
  state.isDown = true
  await waitFor(() => watch.lines()[0]?.includes('stale, last answer'))
  watch.end()
  expect(await watch.code).toBe(2)
})

test('JSON is a line for each answer, and an absence is told beside it', async () => {
  const { state, admin } = await anAdmin()
  const watch = aWatch(admin, 250, false)
  await waitFor(() => watch.out.length >= 2)
  expect(watch.out.map((line) => typeof JSON.parse(line).at)).toEqual(watch.out.map(() => 'number'))
  state.isDown = true
  await waitFor(() => watch.err.length > 0)
  const told = watch.out.length
  await new Promise((resolve) => setImmediate(resolve))
  expect([watch.out.length, watch.err.length, watch.written()]).toEqual([told, 1, ''])
})

test('what has never answered is an error', async () => {
  await expect(aWatch('http://127.0.0.1:9', HOUR).code).rejects.toThrow('no gateway answers')
})
