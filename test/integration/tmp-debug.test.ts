import { test } from 'vitest'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { rawClient } from '../support/raw.ts'
import { httpServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'
const { opened, proxy } = useCleanups()
test('x', async () => {
    const events: string[] = []
    const server = await opened(
      httpServer((request) => {
        request.on('data', (c) => events.push('data'+c))
        request.on('end', () => events.push('end'))
        request.on('close', () => events.push('close'))
        request.on('error', () => events.push('error'))
      }),
    )
    const gateway = await proxy(oneRoute([server.port]))
    for (const framing of ['Content-Length: 100\r\n\r\nabc', 'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n']) {
      const client = rawClient(gateway.port)
      client.send(`POST / HTTP/1.1\r\nHost: a.example\r\n${framing}`)
      await waitFor(() => events.length>0)
      client.socket.destroy()
      await waitFor(() => gateway.records.length>0)
      await new Promise(r=>setTimeout(r,1000))
      console.log(framing, events.splice(0), gateway.records.splice(0), server.sockets.size)
    }
})
