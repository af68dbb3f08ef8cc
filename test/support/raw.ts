import { connect, type Socket } from 'node:net'
import { waitFor } from './wait.ts'

/** One answer as it stood on the wire. */
export interface RawAnswer {
  readonly status: number
  /** Lower-case names; several values joined by `, `. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** A client that says exactly the bytes it is told. */
export interface RawClient {
  readonly socket: Socket
  /** Everything that came so far, latin1. */
  text(): string
  send(bytes: string | Buffer): void
  /** Waits until so many answers are complete. */
  answers(count: number): Promise<RawAnswer[]>
  /** Waits until the other side has ended the connection. */
  closed(): Promise<string>
  readonly isClosed: () => boolean
}

function parseHead(head: string): { status: number; headers: Record<string, string> } {
  const [line = '', ...rest] = head.split('\r\n')
  const headers: Record<string, string> = {}
  for (const field of rest) {
    const colon = field.indexOf(':')
    const name = field.slice(0, colon).toLowerCase()
    const value = field.slice(colon + 1).trim()
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`
  }
  return { status: Number(line.split(' ')[1]), headers }
}

/** The chunked body that begins at `from`; undefined while it is incomplete. */
function dechunk(text: string, from: number): { body: string; end: number } | undefined {
  let body = ''
  let at = from
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at)
    if (lineEnd === -1) return undefined
    const size = Number.parseInt(text.slice(at, lineEnd), 16)
    if (size === 0) {
      const end = text.startsWith('\r\n', lineEnd + 2)
        ? lineEnd + 4
        : text.indexOf('\r\n\r\n', lineEnd + 2) + 4
      return end < 4 || end > text.length ? undefined : { body, end }
    }
    if (text.length < lineEnd + 4 + size) return undefined
    body += text.slice(lineEnd + 2, lineEnd + 2 + size)
    at = lineEnd + 4 + size
  }
}

/** Takes complete answers off a text; 1xx count as answers without a body. */
export function parseAnswers(text: string, isClosed = false): RawAnswer[] {
  const answers: RawAnswer[] = []
  let at = 0
  while (at < text.length) {
    const headEnd = text.indexOf('\r\n\r\n', at)
    if (headEnd === -1) break
    const { status, headers } = parseHead(text.slice(at, headEnd))
    let body = ''
    let end = headEnd + 4
    if (headers['transfer-encoding'] === 'chunked') {
      const chunked = dechunk(text, end)
      if (chunked === undefined) break
      ;({ body, end } = chunked)
    } else if (headers['content-length'] !== undefined && status !== 304) {
      end += Number(headers['content-length'])
      if (end > text.length) break
      body = text.slice(headEnd + 4, end)
    } else if (status >= 200 && status !== 204 && status !== 304) {
      if (!isClosed) break
      body = text.slice(end)
      end = text.length
    }
    answers.push({ status, headers, body })
    at = end
  }
  return answers
}

/** Opens a connection to a port of 127.0.0.1. */
export function rawClient(port: number): RawClient {
  const socket = connect({ port, host: '127.0.0.1' })
  let text = ''
  let isClosed = false
  const over = () => {
    isClosed = true
  }
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  socket.on('end', over).on('close', over).on('error', over)
  return {
    socket,
    text: () => text,
    send: (bytes) => void socket.write(bytes),
    answers: (count) =>
      waitFor(
        () => {
          const answers = parseAnswers(text, isClosed)
          return answers.length >= count ? answers : undefined
        },
        { what: `${count} answers` },
      ).catch((thrown: unknown) => {
        throw Object.assign(thrown as Error, { message: `${(thrown as Error).message}; got: ${text}` })
      }),
    closed: () => waitFor(() => isClosed, { what: 'the connection to end' }).then(() => text),
    isClosed: () => isClosed,
  }
}

/** Sends bytes on a new connection, waits for one answer, and cuts the connection off. */
export async function rawExchange(port: number, bytes: string | Buffer): Promise<RawAnswer> {
  const client = rawClient(port)
  try {
    client.send(bytes)
    const [answer] = await client.answers(1)
    return answer as RawAnswer
  } finally {
    client.socket.destroy()
  }
}
