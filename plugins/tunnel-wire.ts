import type { Duplex } from 'node:stream'
import type { UpgradeAnswer } from '../src/proxy/tunnel.ts'

/** How long a client may take to close its side after we have closed ours. ms. */
const CLOSE_MS = 2000

/** Ends our side of a client's socket; the other side has to follow, or it would be kept for ever. */
export function endSoon(socket: Duplex, last?: Buffer): void {
  socket.end(last)
  socket.resume()
  const timer = setTimeout(() => socket.destroy(), CLOSE_MS)
  timer.unref()
  socket.once('close', () => clearTimeout(timer))
}

/** Ends a tunnel in which nothing moved for so long, either way. */
export function limitIdle(client: Duplex, upstream: Duplex, idleMs: number, onIdle: () => void): void {
  if (idleMs === 0) return
  const timer = setTimeout(() => {
    onIdle()
    client.destroy()
    upstream.destroy()
  }, idleMs)
  const touch = () => timer.refresh()
  client.on('data', touch).on('close', () => clearTimeout(timer))
  upstream.on('data', touch)
}

/** Status line and fields as they go on the wire. */
export function headText(status: number, text: string, fields: readonly string[]): string {
  let head = `HTTP/1.1 ${status} ${text}\r\n`
  for (let i = 0; i < fields.length; i += 2) head += `${fields[i]}: ${fields[i + 1]}\r\n`
  return `${head}\r\n`
}

/**
 * The instance's answer as it came, with our `cookies`; an ordinary one loses its framing, which the client's node parser
 * undid.
 */
export function rawHead(
  status: number,
  text: string,
  { response, socket }: UpgradeAnswer,
  cookies: readonly string[] = [],
): string {
  const fields = cookies.flatMap((cookie) => ['Set-Cookie', cookie])
  if (socket !== undefined) return headText(status, text, [...response.rawHeaders, ...fields])
  for (let i = 0; i < response.rawHeaders.length; i += 2) {
    const name = response.rawHeaders[i] as string
    if (/^(connection|keep-alive|transfer-encoding|upgrade)$/i.test(name)) continue
    fields.push(name, response.rawHeaders[i + 1] as string)
  }
  return headText(status, text, [...fields, 'Connection', 'close'])
}

/** Notices a client that leaves while nobody reads what it sends; that stays to be read. Returns how to stop. */
export function onHangUp(socket: Duplex, leave: () => void): () => void {
  const look = () => {
    // Lets an end that is already there come out; takes nothing.
    if (socket.readableLength === 0) socket.read(0)
  }
  socket.on('readable', look).on('end', leave)
  return () => void socket.off('readable', look).off('end', leave)
}
