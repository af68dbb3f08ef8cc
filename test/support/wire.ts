import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type Socket } from 'node:net'

/** A service that keeps every byte it gets and answers each head it sees with 200. */
export interface WireTap {
  readonly port: number
  /** All bytes of all connections, in order of arrival, latin1. */
  seen(): string
  /** Request lines that a simple reader of those bytes would find. */
  requestLines(): string[]
  forget(): void
  close(): Promise<void>
}

/** Starts one on a free port of 127.0.0.1. `name` is the body of its answers. */
export async function wireTap(name = 'tapped'): Promise<WireTap> {
  const sockets = new Set<Socket>()
  let all = ''
  const server = createServer((socket) => {
    let answered = 0
    let text = ''
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    socket.on('data', (chunk) => {
      all += chunk.toString('latin1')
      text += chunk.toString('latin1')
      const heads = text.split('\r\n\r\n').filter((part) => /HTTP\/1\.1(\r\n|$)/.test(part)).length
      const isWaiting = !text.includes('\r\n\r\n')
      for (; !isWaiting && answered < heads; answered++) {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${name.length}\r\n\r\n${name}`)
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    seen: () => all,
    requestLines: () => all.match(/^[A-Z]+ \S+ HTTP\/1\.1$/gm)?.map((line) => line.trim()) ?? [],
    forget() {
      all = ''
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
