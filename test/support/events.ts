import type { InstanceEvent } from '../../src/core/views.ts'

/** One event of `GET /api/events`, with its time in `data.at`. */
export interface SeenEvent {
  readonly type: string
  readonly data: Readonly<Record<string, unknown>> & { readonly at: number }
}

/** Follows the events of a gateway from its first one on. `close` ends it. */
export async function followEvents(adminUrl: string): Promise<{
  readonly seen: SeenEvent[]
  /** The events `instance` so far. */
  instances(): (InstanceEvent & { readonly at: number })[]
  close(): void
}> {
  const abort = new AbortController()
  const response = await fetch(`${adminUrl}/api/events`, {
    headers: { 'last-event-id': '0' },
    signal: abort.signal,
  })
  const seen: SeenEvent[] = []
  const read = async () => {
    let text = ''
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      text += Buffer.from(chunk).toString()
      const blocks = text.split('\n\n')
      text = blocks.pop() ?? ''
      for (const block of blocks) {
        const type = /^event: (.+)$/m.exec(block)?.[1]
        const data = /^data: (.+)$/m.exec(block)?.[1]
        if (type !== undefined && data !== undefined) seen.push({ type, data: JSON.parse(data) })
      }
    }
  }
  read().catch(() => {})
  return {
    seen,
    instances: () =>
      seen
        .filter(({ type }) => type === 'instance')
        .map(({ data }) => data as unknown as InstanceEvent & { at: number }),
    close: () => abort.abort(),
  }
}
