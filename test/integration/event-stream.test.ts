import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { followEvents, readEvents } from '../../src/cli/event-stream.ts'
import { useCleanups } from '../support/cleanup.ts'
import { waitFor } from '../support/wait.ts'

const { later } = useCleanups()

/** An admin side of which a test holds the streams. */
async function aStream(status = 200) {
  const streams: ServerResponse[] = []
  const asked: (string | undefined)[] = []
  const server = createServer((request, response) => {
    asked.push(request.headers['last-event-id']?.toString())
    if (status !== 200) return void response.writeHead(status).end()
    streams.push(response.writeHead(200, { date: 'Fri, 02 Jan 2026 12:00:00 GMT' }))
    response.flushHeaders()
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  later(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    target: { admin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` },
    asked,
    streams,
    send: (text: string) => void streams.at(-1)?.write(text),
  }
}

const event = (id: string) => `id: ${id}\nevent: state\ndata: {"at":1,"state":"ready"}\n\n`

test('after a break the stream goes on after the last event, also when there was none yet', async () => {
  const { target, asked, streams, send } = await aStream()
  const ended = new AbortController()
  const told: string[] = []
  const following = followEvents(target, {
    signal: ended.signal,
    onOpen: (now) => told.push(new Date(now).toISOString().slice(11, 16)),
    onEvent: ({ id, at, type, data }) => told.push(`${id} ${at} ${type} ${JSON.stringify(data)}`),
    onAway: () => told.push('away'),
    onBack: () => told.push('back'),
  })
  await waitFor(() => streams.length === 1)
  send('retry: 1\nid: a-7\n\n')
  streams[0]?.end()
  await waitFor(() => streams.length === 2)
  send(`: beat\n\n${event('a-8')}`)
  await waitFor(() => told.some((text) => text.startsWith('a-8')))
  streams[1]?.end()
  await waitFor(() => streams.length === 3)
  ended.abort()
  await following
  expect(asked).toEqual([undefined, 'a-7', 'a-8'])
  expect(told.slice(0, 7)).toEqual([
    '12:00',
    'away',
    'back',
    '12:00',
    'a-8 1 state {"state":"ready"}',
    'away',
    'back',
  ])
})

test('what is not understood is passed over', async () => {
  const { target, streams, send } = await aStream()
  const ids: string[] = []
  const read = readEvents(target, {
    signal: new AbortController().signal,
    follow: false,
    onEvent: ({ id }) => ids.push(id),
  })
  await waitFor(() => streams.length === 1)
  send(`id: a-1\nevent: x\ndata: {\n\nid: a-2\nevent: x\ndata: {"no":"time"}\n\n${event('a-3')}`)
  streams[0]?.end()
  await read
  expect(ids).toEqual(['a-3'])
})

test.each([
  [401, 'GW_ADMIN_UNAUTHORIZED'],
  [404, 'GW_ADMIN_BAD_REQUEST'],
])('a first answer of %i is an error, not a reason to try again', async (status, code) => {
  const { target, asked } = await aStream(status)
  const following = followEvents(target, { signal: new AbortController().signal, onEvent: () => {} })
  await expect(following).rejects.toMatchObject({ code })
  expect(asked).toHaveLength(1)
})
