// @ts-check
import { contact } from '../lib/api.js'
import { useCell } from '../lib/cell.js'
import { useNow } from '../lib/clock.js'
import { stream } from '../lib/events.js'
import { span } from '../lib/format.js'
import { cx, html } from '../lib/html.js'
import { Icon } from '../parts/icons.js'

const TEXT = {
  live: ['Live', 'good', 'Events arrive as they happen'],
  connecting: ['Connecting', 'idle', 'Waiting for the stream of events'],
  lost: ['Polling', 'warn', 'The stream of events is broken; asking every few seconds until it is back'],
  off: ['Connecting', 'idle', 'Waiting for the stream of events'],
}

/** How fresh the page is: in sight at all times, and told to readers when it changes. */
export function ContactPill() {
  const { isLost } = useCell(contact)
  const state = useCell(stream)
  const [text, tone, title] = isLost ? ['No answer', 'bad', 'The gateway does not answer'] : TEXT[state]
  return html`<span class=${cx('contact', `tone-${tone}`)} role="status" title=${title}><i aria-hidden="true"></i>${text}</span>`
}

/** Over everything that may be out of date. */
export function StaleBanner() {
  const { isLost, at } = useCell(contact)
  const now = useNow()
  if (!isLost) return null
  const age = at === 0 ? 'No answer yet' : `Last answer ${span(Math.max(0, now - at))} ago`
  return html`
    <div class="banner is-bad">
      <${Icon} name="warning" />
      <p><b>${age}.</b> The gateway does not answer; what you see may be out of date. Trying again.</p>
    </div>
  `
}
