import type { GatewayEvent } from '../src/core/views.ts'
import type { AdminRoutes } from './context.ts'

/** Proxies in between close what is silent. ms. */
const BEAT_MS = 15_000
/** A reader that is this far behind is cut off; it comes back with Last-Event-ID. Bytes. */
const MAX_BUFFERED = 1024 * 1024

function text(event: GatewayEvent): string {
  return `id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify({ at: event.at, ...event.data })}\n\n`
}

/** What happens, as server-sent events. */
export const eventRoutes: AdminRoutes = (app) => {
  app.get(
    '/api/events',
    {
      schema: {
        tags: ['events'],
        summary: 'Tables, rejections, ejections, registry states, lives of instances as server-sent events',
        description: 'Last-Event-ID brings what was missed, as far as it is kept (500 events).',
        produces: ['text/event-stream'],
      },
    },
    (request, reply) => {
      reply.hijack()
      const { raw } = reply
      raw.writeHead(200, {
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
      })
      raw.write('retry: 2000\n\n')
      const asked = Number(request.headers['last-event-id'] ?? Number.NaN)
      const after = Number.isSafeInteger(asked) && asked >= 0 ? asked : app.gateway.events.lastId
      const stop = app.gateway.events.subscribe(after, (event) => {
        if (raw.writableLength > MAX_BUFFERED) raw.destroy()
        else raw.write(text(event))
      })
      const beat = setInterval(() => raw.write(': beat\n\n'), BEAT_MS)
      raw.on('close', () => {
        clearInterval(beat)
        stop()
      })
    },
  )
}
