import { backoffMs, sleep } from '../core/duration.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import { takeServerEvents } from '../core/server-events.ts'
import { type AdminAddress, openAdmin } from './admin-call.ts'

/** An event as `GET /api/events` told it. */
export interface SeenEvent {
  /** Opaque; in the order of their happening `epoch-number`. */
  readonly id: string
  /** ms since the epoch. */
  readonly at: number
  readonly type: string
  readonly data: Readonly<Record<string, unknown>>
}

export interface ReadOptions {
  readonly signal: AbortSignal
  /** Id of the event to begin after; `0` = with all that is remembered; absent = with what happens now. */
  readonly after?: string | undefined
  /** False = ends after what is remembered. */
  readonly follow: boolean
  /** The gateway has answered; `now`: by its clock, ms since the epoch. */
  onOpen?(now: number): void
  /** Where in the row we are: also known before the first event. */
  onPlace?(id: string): void
  onEvent(event: SeenEvent): void
}

/** Until the gateway answers. ms. */
const CONNECT_MS = 10_000
/** It says something each 15 s; a connection that is silent for longer is dead. ms. */
const SILENT_MS = 40_000

/** Undefined = the event of a gateway that we do not understand. */
function seen({ id, type, data }: { id: string; type: string; data: string }): SeenEvent | undefined {
  try {
    const { at, ...facts } = JSON.parse(data) as Record<string, unknown>
    return typeof at === 'number' ? { id, at, type, data: facts } : undefined
  } catch {
    return undefined
  }
}

/**
 * Reads the events of one connection until it ends. Throws GW_ADMIN_UNREACHABLE (also when it breaks or falls silent),
 * GW_ADMIN_UNAUTHORIZED, GW_ADMIN_BAD_REQUEST.
 */
export async function readEvents(target: AdminAddress, options: ReadOptions): Promise<void> {
  const silence = new AbortController()
  const hush = () => silence.abort()
  let timer = setTimeout(hush, CONNECT_MS)
  try {
    const { after, follow } = options
    const response = await openAdmin(target, follow ? '/api/events' : '/api/events?follow=false', {
      headers: after === undefined ? {} : { 'last-event-id': after },
      signal: AbortSignal.any([options.signal, silence.signal]),
    })
    const date = Date.parse(response.headers.get('date') ?? '')
    options.onOpen?.(Number.isNaN(date) ? Date.now() : date)
    const decoder = new TextDecoder()
    let text = ''
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      clearTimeout(timer)
      timer = setTimeout(hush, SILENT_MS)
      text = takeServerEvents(text + decoder.decode(chunk, { stream: true }), (event) => {
        if (event.id !== '') options.onPlace?.(event.id)
        const one = event.data === '' ? undefined : seen(event)
        if (one !== undefined) options.onEvent(one)
      })
    }
  } catch (thrown) {
    if (thrown instanceof GatewayError) throw thrown
    throw new GatewayError('GW_ADMIN_UNREACHABLE', `${target.admin}: the connection broke`, { cause: thrown })
  } finally {
    clearTimeout(timer)
  }
}

export interface FollowOptions extends Omit<ReadOptions, 'follow' | 'onPlace'> {
  /** It is away, and will be tried again; told once for each absence. */
  onAway?(reason: string): void
  /** It is there again. */
  onBack?(): void
}

const RETRY_MS = { least: 250, most: 3000 }

/**
 * Follows the events until the signal aborts. Comes back after an absence and goes on where it was. Throws like readEvents
 * when the first connection fails.
 */
export async function followEvents(target: AdminAddress, options: FollowOptions): Promise<void> {
  const { signal } = options
  let place = options.after
  let wasThere = false
  let tries = 0
  while (!signal.aborted) {
    let reason = 'it ended the stream'
    try {
      await readEvents(target, {
        ...options,
        follow: true,
        after: place,
        onOpen(now) {
          if (tries > 0) options.onBack?.()
          wasThere = true
          tries = 0
          options.onOpen?.(now)
        },
        onPlace(id) {
          place = id
        },
      })
    } catch (thrown) {
      if (signal.aborted) return
      if (!wasThere) throw thrown
      reason = errorText(thrown)
    }
    if (signal.aborted) return
    if (tries === 0) options.onAway?.(reason)
    tries++
    await sleep(backoffMs(tries, RETRY_MS.least, RETRY_MS.most, Math.random), signal)
  }
}
