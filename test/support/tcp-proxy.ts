import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** Passes bytes on to a server, and can behave like a bad network in between. */
export interface TcpProxy {
  readonly url: string
  /** Connections whose first bytes hold this text. */
  count(text: string): number
  /** Those connections stay open and pass nothing on any more, in both directions: half-open. Returns how many. */
  silence(text: string): number
  /** HTTP requests that went through so far, and bytes of answers. */
  traffic(): { readonly requests: number; readonly bytes: number }
  /** Cuts all connections. */
  cut(): void
  /** Holds new connections that begin with this text until the function that it returns is called. */
  hold(text: string): () => void
  close(): Promise<void>
}

interface Link {
  readonly client: Socket
  readonly server: Socket
  first: string
}

/** Starts a proxy on a free port of 127.0.0.1. `target`: URL of the server. */
export async function startTcpProxy(target: string): Promise<TcpProxy> {
  const { hostname, port } = new URL(target)
  const links = new Set<Link>()
  let requests = 0
  let bytes = 0
  const held: { text: string; released: Promise<void> }[] = []
  const listener = createServer((client) => {
    const server = connect(Number(port), hostname)
    const link: Link = { client, server, first: '' }
    links.add(link)
    const end = () => {
      links.delete(link)
      client.destroy()
      server.destroy()
    }
    for (const socket of [client, server]) socket.on('error', end).on('close', end)
    server.pipe(client)
    server.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    client.on('data', (chunk: Buffer) => {
      requests += chunk.toString('latin1').match(/^(?:GET|POST|PUT) \S+ HTTP\/1\.1\r$/gm)?.length ?? 0
    })
    client.once('data', async (chunk: Buffer) => {
      link.first = chunk.toString('latin1')
      client.pause()
      for (const { text, released } of held) if (link.first.includes(text)) await released
      server.write(chunk)
      client.pipe(server)
    })
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const having = (text: string) => [...links].filter(({ first }) => first.includes(text))
  return {
    url: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    traffic: () => ({ requests, bytes }),
    count: (text) => having(text).length,
    silence(text) {
      const found = having(text)
      for (const { client, server } of found) {
        server.unpipe(client)
        client.unpipe(server)
        server.resume()
        client.resume()
      }
      return found.length
    },
    cut() {
      for (const { client } of links) client.destroy()
    },
    hold(text) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const one = { text, released: promise }
      held.push(one)
      return () => {
        held.splice(held.indexOf(one), 1)
        resolve()
      }
    },
    async close() {
      for (const { client, server } of links) {
        client.destroy()
        server.destroy()
      }
      listener.close()
      await once(listener, 'close')
    },
  }
}
