/** One server-sent event (WHATWG HTML, "Server-sent events"); a field that is absent is empty. */
export interface ServerEvent {
  readonly id: string
  readonly type: string
  readonly data: string
}

/**
 * Takes the complete events out of a text that grows, also those that only have an id; comments are left out. Returns the
 * rest.
 */
export function takeServerEvents(text: string, onEvent: (event: ServerEvent) => void): string {
  let rest = text
  for (let end = rest.indexOf('\n\n'); end !== -1; end = rest.indexOf('\n\n')) {
    const lines = rest.slice(0, end).split('\n')
    rest = rest.slice(end + 2)
    const field = (name: string) =>
      lines
        .filter((line) => line.startsWith(`${name}:`))
        .map((line) => line.slice(name.length + 1).trim())
        .join('\n')
    const event = { id: field('id'), type: field('event'), data: field('data') }
    if (event.id !== '' || event.data !== '') onEvent(event)
  }
  return rest
}
