import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { rawServer } from '../support/scripted-server.ts'

const { opened, proxy } = useCleanups()

/** As Node's servers do by default; this one does not say so in `Keep-Alive`. ms. */
const UPSTREAM_IDLE_MS = 5000
const CLIENTS = 60

test('POSTs after a pause as long as the keep-alive of a service never meet a closing socket', async () => {
  let asked = 0
  const lastUse = new WeakMap<Socket, number>()
  const upstream = await opened(
    rawServer((socket) => {
      const idleMs = performance.now() - (lastUse.get(socket) ?? performance.now())
      lastUse.set(socket, performance.now())
      // What was on its way while the service closed the socket.
      if (idleMs > UPSTREAM_IDLE_MS - 300) {
        socket.destroy()
        return
      }
      asked++
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    }),
  )
  const gateway = await proxy(oneRoute([upstream.port]))
  const post = async () => (await fetch(gateway.url, { method: 'POST', body: '' })).status
  const first = await Promise.all(Array.from({ length: CLIENTS }, post))
  expect(new Set(first)).toEqual(new Set([200]))
  await new Promise((resolve) => setTimeout(resolve, UPSTREAM_IDLE_MS - 200))
  const later = await Promise.all(Array.from({ length: CLIENTS }, post))
  expect(new Set(later)).toEqual(new Set([200]))
  expect(asked).toBe(2 * CLIENTS)
})
