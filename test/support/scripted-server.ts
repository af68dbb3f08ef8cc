import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import {
  type AddressInfo,
  createServer as createTcpServer,
  type Socket,
  type Server as TcpServer,
} from 'node:net'

/** A server of a test, on a free port of 127.0.0.1. */
export interface Scripted {
  readonly port: number
  /** Sockets that are open now. */
  readonly sockets: ReadonlySet<Socket>
  /** Connections accepted since the start. */
  readonly connections: () => number
  close(): Promise<void>
}

async function listen(server: Server | TcpServer): Promise<Scripted> {
  const sockets = new Set<Socket>()
  let connections = 0
  server.on('connection', (socket: Socket) => {
    connections++
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    connections: () => connections,
    async close() {
      for (const socket of sockets) socket.destroy()
      if (server.listening) await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** An HTTP server. */
export function httpServer(listener: RequestListener): Promise<Scripted> {
  return listen(createServer({ keepAliveTimeout: 30_000 }, listener))
}

/** A TCP server that answers by bytes; `onRequest` gets each whole request without a body, and its number. */
export function rawServer(
  onRequest: (socket: Socket, request: string, numberOnSocket: number) => void,
): Promise<Scripted> {
  return listen(
    createTcpServer((socket) => {
      let text = ''
      let count = 0
      socket.on('data', (data) => {
        text += data.toString('latin1')
        for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
          const request = text.slice(0, end)
          text = text.slice(end + 4)
          count++
          onRequest(socket, request, count)
        }
      })
    }),
  )
}
