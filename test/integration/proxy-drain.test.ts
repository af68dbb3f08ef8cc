import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect as connectTls } from 'node:tls'
import { expect, test } from 'vitest'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { rawClient } from '../support/raw.ts'
import { httpServer } from '../support/scripted-server.ts'
import { tlsFiles } from '../support/tls-files.ts'
import { waitFor } from '../support/wait.ts'

const { opened, proxy } = useCleanups()
const GET = 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n'

/** A service whose answers a test ends by hand. */
async function held() {
  const answers: ServerResponse[] = []
  const server = await opened(httpServer((_request, response) => void answers.push(response)))
  return { answers, gateway: await proxy(oneRoute([server.port])) }
}

test('while it drains, new connections and new requests are still served, each with Connection: close', async () => {
  const { answers, gateway } = await held()
  const before = rawClient(gateway.port)
  before.send(GET)
  await waitFor(() => answers.length === 1)
  gateway.drain()
  const after = rawClient(gateway.port)
  after.send(GET)
  await waitFor(() => answers.length === 2)
  for (const answer of answers) answer.end('fine')
  for (const client of [before, after]) {
    expect(await client.answers(1)).toMatchObject([
      { status: 200, body: 'fine', headers: { connection: 'close' } },
    ])
    await client.closed()
  }
})

test('close waits for what runs; an idle connection does not hold it up; nobody new comes in', async () => {
  const { answers, gateway } = await held()
  const idle = rawClient(gateway.port)
  const running = rawClient(gateway.port)
  running.send(GET)
  await waitFor(async () => answers.length === 1 && (await gateway.server.connections()) === 2)
  gateway.drain()
  let isClosed = false
  const closing = gateway.server.close().then(() => {
    isClosed = true
  })
  await expect(fetch(gateway.url)).rejects.toThrow()
  expect(isClosed).toBe(false)
  answers[0]?.end('fine')
  expect(await running.answers(1)).toMatchObject([{ status: 200, body: 'fine' }])
  await idle.closed()
  await closing
})

test('an answer whose headers went out before the drain does not keep its connection open', async () => {
  const { answers, gateway } = await held()
  const client = rawClient(gateway.port)
  client.send(GET)
  await waitFor(() => answers.length === 1)
  answers[0]?.write('be')
  await waitFor(() => client.text().includes('be'))
  gateway.drain()
  const closing = gateway.server.close()
  answers[0]?.end('fore')
  expect(await client.answers(1)).toMatchObject([{ status: 200, body: 'before' }])
  await closing
  await client.closed()
})

test('over TLS a connection that never asked for anything does not hold the close up either', async () => {
  const files = await opened(tlsFiles('a.example'))
  const gateway = await proxy({
    yaml: 'routes: [{ name: a, respond: { status: 204 } }]',
    tls: { pairs: [files] },
  })
  const silent = connectTls({ port: gateway.port, host: '127.0.0.1', rejectUnauthorized: false })
  silent.on('error', () => {}).resume()
  await once(silent, 'secureConnect')
  await gateway.server.close()
})

test('destroy cuts off what is left and says how many', async () => {
  const { answers, gateway } = await held()
  const clients = [rawClient(gateway.port), rawClient(gateway.port)]
  for (const client of clients) client.send(GET)
  await waitFor(() => answers.length === 2)
  const closing = gateway.server.close()
  expect(await gateway.server.destroy()).toBe(2)
  await closing
  await Promise.all(clients.map((client) => client.closed()))
  await waitFor(() => gateway.records.length === 2)
  expect(gateway.records.map(({ status }) => status)).toEqual([499, 499])
})
