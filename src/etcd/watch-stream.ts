import type { IncomingMessage } from 'node:http'
import { StringDecoder } from 'node:string_decoder'
import { GatewayError } from '../core/errors.ts'
import type { EtcdTransport } from './transport.ts'
import {
  type EtcdEvent,
  type EtcdRefusal,
  prefixRange,
  type RawEntry,
  readCancelReason,
  readRefusal,
  toEntry,
} from './wire.ts'

/** One message of a watch; more is not from etcd. Characters. */
const MAX_LINE = 64 * 1024 * 1024
/** Read of an answer that is none. Characters. */
const MAX_REFUSAL = 4096

export interface WatchOptions {
  readonly prefix: string
  /** The first revision whose changes are told. */
  readonly from: number
}

export interface WatchHandlers {
  /** The watch stands. */
  onReady?(): void
  /** Changes in their order, with the revision of the newest; without any it is a sign of life: all up to there was told. */
  onEvents(events: readonly EtcdEvent[], revision: number): void
}

interface Message {
  readonly result?: {
    readonly header?: { readonly revision?: string }
    readonly created?: boolean
    readonly canceled?: boolean
    readonly cancel_reason?: string
    readonly compact_revision?: string
    readonly events?: readonly { readonly type?: string; readonly kv: RawEntry }[]
  }
  readonly error?: { readonly message?: string; readonly grpc_code?: number }
}

/**
 * One watch over one connection: an answer of JSON lines without an end. Resolves with `ended` when the signal
 * aborts, with `compacted`, or with what etcd gave as the reason; rejects when the connection ends.
 */
export async function watchStream(
  transport: EtcdTransport,
  endpoint: string,
  token: string | undefined,
  { prefix, from }: WatchOptions,
  handlers: WatchHandlers,
  signal: AbortSignal,
): Promise<'ended' | 'compacted' | EtcdRefusal> {
  const own = new AbortController()
  const either = AbortSignal.any([signal, own.signal])
  const body = {
    create_request: { ...prefixRange(prefix), start_revision: from, progress_notify: true },
  }
  try {
    const post = { endpoint, path: '/watch', body, token }
    const response = await transport.stream(post, either)
    if (response.statusCode !== 200) return await refused(response)
    const decoder = new StringDecoder('utf8')
    let rest = ''
    for await (const chunk of response as AsyncIterable<Buffer>) {
      rest += decoder.write(chunk)
      for (let end = rest.indexOf('\n'); end !== -1; end = rest.indexOf('\n')) {
        const line = rest.slice(0, end)
        rest = rest.slice(end + 1)
        const said = line.trim() === '' ? undefined : take(endpoint, line, handlers)
        if (said !== undefined) return said
      }
      if (rest.length > MAX_LINE)
        throw new GatewayError('GW_REGISTRY_ANSWER', `${endpoint}: too long for a watch`)
    }
    if (signal.aborted) return 'ended'
    throw new GatewayError('GW_REGISTRY_UNREACHABLE', `${endpoint}: the watch ended`)
  } catch (thrown) {
    if (signal.aborted) return 'ended'
    if (thrown instanceof GatewayError) throw thrown
    throw new GatewayError('GW_REGISTRY_UNREACHABLE', `${endpoint}: the watch broke off`, { cause: thrown })
  } finally {
    own.abort()
  }
}

async function refused(response: IncomingMessage): Promise<EtcdRefusal> {
  let text = ''
  for await (const chunk of response as AsyncIterable<Buffer>) {
    text += chunk.toString()
    if (text.length > MAX_REFUSAL) break
  }
  return readRefusal(response.statusCode ?? 0, text)
}

/** Undefined = it goes on. */
function take(
  endpoint: string,
  line: string,
  handlers: WatchHandlers,
): 'compacted' | EtcdRefusal | undefined {
  let message: Message
  try {
    message = JSON.parse(line) as Message
  } catch (cause) {
    throw new GatewayError('GW_REGISTRY_ANSWER', `${endpoint}: a line of the watch is no JSON`, { cause })
  }
  const { result, error } = message
  if (error !== undefined) return { code: error.grpc_code ?? 0, words: error.message ?? line.slice(0, 200) }
  if (result === undefined) return undefined
  if (result.canceled === true) {
    if (Number(result.compact_revision ?? 0) > 0) return 'compacted'
    return readCancelReason(result.cancel_reason ?? 'the watch was cancelled')
  }
  if (result.created === true) handlers.onReady?.()
  const events = (result.events ?? []).map(({ type, kv }): EtcdEvent => {
    return { ...toEntry(kv), type: type === 'DELETE' ? 'delete' : 'put' }
  })
  if (result.created !== true || events.length > 0) {
    // With events the header may be ahead of those that are still to come.
    const newest = Math.max(0, ...events.map(({ modRevision }) => modRevision))
    handlers.onEvents(events, events.length > 0 ? newest : Number(result.header?.revision ?? 0))
  }
  return undefined
}
