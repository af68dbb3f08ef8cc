import type { GatewayEvent } from '../src/core/views.ts'
import type { AdminRoutes } from './context.ts'

/** Proxies in between close what is silent. ms. */
const BEAT_MS = 15_000
/** A reader that is this far behind is cut off; it comes back with Last-Event-ID. Bytes. */
const MAX_BUFFERED = 1024 * 1024

function text(epoch: string, event: GatewayEvent): string {
  return `id: ${epoch}-${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify({ at: event.at, ...event.data })}\n\n`
}

/**
 * After which event a client wants to go on; undefined = it says nothing of use. Ids of a process before this one stand for
 * none of this one's, so that a restart hides nothing; a bare number is taken for one of this process.
 */
function askedAfter(lastId: string | undefined, epoch: string): number | undefined {
  const match = /^(?:(\w+)-)?(\d{1,15})$/.exec(lastId ?? '')
  if (match === null) return undefined
  return (match[1] ?? epoch) === epoch ? Number(match[2]) : 0
}

/** What happens, as server-sent events. */
export const eventRoutes: AdminRoutes = (app) => {
  const epoch = Date.now().toString(36)
  app.get<{ Querystring: { follow?: boolean } }>(
    '/api/events',
    {
      schema: {
        tags: ['events'],
        summary: 'Tables, rejections, ejections, registry states, lives of instances as server-sent events',
        description:
          'Last-Event-ID brings what was missed, as far as it is kept (500 events), also over a restart; 0 brings all of it. ' +
          'follow=false: only that, then the answer ends.',
        querystring: {
          type: 'object',
          properties: { follow: { type: 'boolean', default: true } },
        },
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
      const isFollowing = request.query.follow !== false
      const lastId = request.headers['last-event-id']
      const after =
        askedAfter(typeof lastId === 'string' ? lastId : undefined, epoch) ??
        (isFollowing ? app.gateway.events.lastId : 0)
      // Its place in the row, so that who has seen no event yet misses none either when the connection breaks.
      raw.write(`retry: 2000\nid: ${epoch}-${after}\n\n`)
      const stop = app.gateway.events.subscribe(after, (event) => {
        if (isFollowing && raw.writableLength > MAX_BUFFERED) raw.destroy()
        else raw.write(text(epoch, event))
      })
      if (!isFollowing) {
        stop()
        raw.end()
        return
      }
      const beat = setInterval(() => raw.write(': beat\n\n'), BEAT_MS)
      raw.on('close', () => {
        clearInterval(beat)
        stop()
      })
    },
  )
}
