import { Readable } from 'node:stream'
import { type Dispatcher, request } from 'undici'
import { sleep } from '../core/duration.ts'
import { errorText } from '../core/errors.ts'
import type { Failure } from './outcome.ts'
import type { RequestSpec } from './plan.ts'

/** What each request needs from its load. */
export interface SendContext {
  readonly target: string
  readonly dispatcher: Dispatcher
  readonly timeoutMs: number
}

/** Enough of an answer to look for a text in it. Bytes. */
const KEPT = 64 * 1024

async function* pieces(spec: RequestSpec): AsyncGenerator<Buffer> {
  const total = spec.bytes ?? 0
  let sent = 0
  for (let i = 1; i <= spec.chunks; i++) {
    const end = Math.floor((total * i) / spec.chunks)
    yield Buffer.alloc(end - sent, 'u')
    sent = end
    if (i < spec.chunks) await sleep(spec.intervalMs)
  }
}

function bodyOf(spec: RequestSpec, id: string) {
  if (spec.kind === 'upload') return Readable.from(pieces(spec))
  if (spec.kind !== 'post') return null
  if (spec.bytes !== undefined) return Buffer.alloc(spec.bytes, 'p')
  return spec.body ?? JSON.stringify({ id })
}

/** The problem document of the gateway, when the answer is one. */
function problemOf(text: string, requestId: string | undefined): { code?: string; requestId?: string } {
  let found: { code?: unknown; requestId?: unknown } = {}
  try {
    found = (JSON.parse(text) ?? {}) as typeof found
  } catch {
    // Not JSON: the answer of a service.
  }
  const id = typeof found.requestId === 'string' ? found.requestId : requestId
  return {
    ...(typeof found.code === 'string' ? { code: found.code } : {}),
    ...(id === undefined ? {} : { requestId: id }),
  }
}

function mismatch(spec: RequestSpec, status: number, bytes: number, text: string): string | undefined {
  const { expect } = spec
  if (expect.status === undefined ? status < 200 || status > 299 : status !== expect.status) {
    return `status ${status} instead of ${expect.status ?? '2xx'}`
  }
  if (expect.bytes !== undefined && bytes !== expect.bytes) return `${bytes} bytes instead of ${expect.bytes}`
  if (expect.bodyIncludes !== undefined && !text.includes(expect.bodyIncludes)) {
    return `"${expect.bodyIncludes}" is not in the answer`
  }
  if (spec.kind === 'upload' && !new RegExp(`\\b${spec.bytes}\\b`).test(text)) {
    return `the answer does not say ${spec.bytes} bytes`
  }
  return undefined
}

/** Sends one request, once, and reads its whole answer. Undefined = as expected. Never throws. */
export async function sendRequest(
  spec: RequestSpec,
  id: string,
  { target, dispatcher, timeoutMs }: SendContext,
): Promise<Failure | undefined> {
  let answer: Dispatcher.ResponseData
  try {
    answer = await request(target + spec.path, {
      dispatcher,
      method: spec.method as Dispatcher.HttpMethod,
      headers: {
        ...(spec.kind === 'post' && spec.bytes === undefined && spec.body === undefined
          ? { 'content-type': 'application/json' }
          : {}),
        ...spec.headers,
        'x-rollcheck-id': id,
      },
      body: bodyOf(spec, id),
      headersTimeout: timeoutMs + (spec.kind === 'upload' ? spec.expectedMs : 0),
      bodyTimeout: timeoutMs,
    })
  } catch (thrown) {
    return { loss: 'no-answer', error: errorWithCode(thrown) }
  }
  const status = answer.statusCode
  let bytes = 0
  let text = ''
  try {
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (text.length < KEPT) text += chunk.toString('latin1')
    }
  } catch (thrown) {
    return { loss: 'cut', status, error: `after ${bytes} bytes: ${errorWithCode(thrown)}` }
  }
  const error = mismatch(spec, status, bytes, text)
  if (error === undefined) return undefined
  const requestId = answer.headers['x-request-id']
  return {
    loss: 'wrong-answer',
    status,
    error,
    ...problemOf(text, typeof requestId === 'string' ? requestId : undefined),
  }
}

function errorWithCode(thrown: unknown): string {
  const code = (thrown as NodeJS.ErrnoException | undefined)?.code
  const text = errorText(thrown)
  return code === undefined || text.includes(code) ? text : `${text} (${code})`
}
