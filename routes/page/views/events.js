// @ts-check
import { useEffect, useRef, useState } from 'preact/hooks'
import { useCell } from '../lib/cell.js'
import { tellEvent } from '../lib/event-words.js'
import { events as seen, stream } from '../lib/events.js'
import { count, dayOf, fullTime, plural, timeOfDay } from '../lib/format.js'
import { html, memo } from '../lib/html.js'
import { goQuery, href, place } from '../lib/router.js'
import { Search } from '../parts/field.js'
import { Icon } from '../parts/icons.js'
import { Dot, Pill } from '../parts/pill.js'
import { Loading, Note } from '../parts/states.js'

/** @typedef {import('../lib/events.js').SeenEvent} SeenEvent */

/** More on demand. */
const STEP = 150

/** Everything that can be searched for. @param {SeenEvent} event */
const haystack = ({ type, data }) => `${type} ${JSON.stringify(data)}`.toLowerCase()

/** The address of an instance, where the event has it. @param {SeenEvent} event */
const addressOf = ({ data }) =>
  data['address'] ??
  String(data['instanceKey'] ?? '')
    .split('/')
    .at(-1) ??
  ''

/** @type {import('preact').ComponentClass<{ event: SeenEvent }>} */
const Item = memo(({ event }) => {
  const [isOpen, setOpen] = useState(false)
  const { tone, subject, instance, text } = tellEvent(event)
  return html`
    <li class="event">
      <${Dot} tone=${tone} />
      <time dateTime=${new Date(event.at).toISOString()} title=${fullTime(event.at)}>${timeOfDay(event.at)}</time>
      <p>
        ${subject && html`<a href=${href('services', [subject])}>${subject}</a> `}
        ${instance && html`<a class="muted" href=${href('services', [subject], { instance })}>${addressOf(event)}</a> `}
        ${text}
      </p>
      <button type="button" class="event-more" aria-expanded=${isOpen ? 'true' : 'false'} onClick=${() => setOpen(!isOpen)}>${event.type}<span class="hidden">: all it says</span></button>
      ${isOpen && html`<pre class="output" tabindex="0" aria-label="Data of this event">${JSON.stringify(event.data, null, 2)}</pre>`}
    </li>
  `
})

/** @param {{ counts: ReadonlyMap<string, number>, chosen: ReadonlySet<string> }} props */
function Types({ counts, chosen }) {
  const toggle = (/** @type {string} */ type) => {
    const next = new Set(chosen)
    if (!next.delete(type)) next.add(type)
    goQuery({ types: [...next].join(',') })
  }
  return html`<div class="chips" role="group" aria-label="Types of events">
    ${[...counts]
      .sort(([a], [b]) => a.localeCompare(b))
      .map(
        ([type, amount]) =>
          html`<button type="button" key=${type} class="chip" aria-pressed=${chosen.has(type) ? 'true' : 'false'} onClick=${() => toggle(type)}>${type} <span class="muted">${count(amount)}</span></button>`,
      )}
    ${chosen.size > 0 && html`<button type="button" class="chip" onClick=${() => goQuery({ types: '' })}>all types</button>`}
  </div>`
}

/** A list that stands still while it is paused. @param {readonly SeenEvent[]} live */
function usePause(live) {
  const [held, setHeld] = useState(/** @type {readonly SeenEvent[] | undefined} */ (undefined))
  const fresh =
    held === undefined
      ? 0
      : Math.max(
          0,
          live.findIndex(({ key }) => key === held[0]?.key),
        )
  return {
    list: held ?? live,
    isPaused: held !== undefined,
    fresh,
    toggle: () => setHeld(held === undefined ? live : undefined),
  }
}

/** @param {{ list: readonly SeenEvent[] }} props */
function Timeline({ list }) {
  const [shown, setShown] = useState(STEP)
  const [onEnd] = [useRef(/** @type {HTMLElement | null} */ (null))]
  useEffect(() => {
    if (onEnd.current === null) return
    const look = new IntersectionObserver(
      ([entry]) => entry?.isIntersecting && setShown((before) => before + STEP),
    )
    look.observe(onEnd.current)
    return () => look.disconnect()
  }, [shown, list.length > shown])
  /** @type {[string, SeenEvent[]][]} */
  const days = []
  for (const event of list.slice(0, shown)) {
    const day = dayOf(event.at)
    if (days.at(-1)?.[0] === day) days.at(-1)?.[1].push(event)
    else days.push([day, [event]])
  }
  return html`
    ${days.map(([day, items]) => html`<h2 class="event-day" key=${day}>${day}</h2><ol class="events" key=${`${day} list`}>${items.map((event) => html`<${Item} key=${event.key} event=${event} />`)}</ol>`)}
    ${list.length > shown && html`<p class="muted event-end" ref=${onEnd}>${plural(list.length - shown, 'older event')} …</p>`}
  `
}

/** What happened, newest first, as it happens. */
function Events() {
  const { q = '', types = '' } = useCell(place).query
  const { list, isPaused, fresh, toggle } = usePause(useCell(seen))
  const state = useCell(stream)
  const chosen = new Set(types.split(',').filter(Boolean))
  const text = q.trim().toLowerCase()
  /** @type {Map<string, number>} */
  const counts = new Map([...chosen].map((type) => [type, 0]))
  for (const { type } of list) counts.set(type, (counts.get(type) ?? 0) + 1)
  const shown = list.filter(
    (event) =>
      (chosen.size === 0 || chosen.has(event.type)) && (text === '' || haystack(event).includes(text)),
  )
  return html`
    <div class="toolbar">
      <${Search} label="Service, instance, text" value=${q} onInput=${(/** @type {string} */ value) => goQuery({ q: value })} />
      <button type="button" class="button" aria-pressed=${isPaused ? 'true' : 'false'} onClick=${toggle}><${Icon} name=${isPaused ? 'play' : 'pause'} /> ${isPaused ? 'Go on' : 'Pause'}</button>
      ${isPaused && html`<${Pill} tone=${fresh > 0 ? 'info' : 'idle'}>${count(fresh)} new<//>`}
      <span class="end muted">${plural(shown.length, 'event')}</span>
    </div>
    <${Types} counts=${counts} chosen=${chosen} />
    <section class="panel event-panel" aria-label="Events">
      ${
        shown.length > 0
          ? html`<${Timeline} list=${shown} />`
          : list.length > 0
            ? html`<${Note} title="Nothing matches">${plural(list.length, 'event')} of other types or texts.<//>`
            : state === 'connecting' || state === 'off'
              ? html`<${Loading} rows=${6} />`
              : html`<${Note} icon="events" title="Nothing has happened yet">Tables, instances, ejections and registries are told here as they change.<//>`
      }
    </section>
  `
}

/** @type {import('./index.js').ViewEntry} */
export const events = { id: 'events', title: 'Events', group: 'Observe', icon: 'events', View: Events }
