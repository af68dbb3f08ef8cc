// @ts-check
import { useEffect } from 'preact/hooks'
import { useNow } from '../lib/clock.js'
import { useTopology } from '../lib/data.js'
import { span } from '../lib/format.js'
import { cx, html } from '../lib/html.js'
import { href } from '../lib/router.js'
import { Icon } from '../parts/icons.js'
import { Dot } from '../parts/pill.js'
import { GROUPS, VIEWS } from '../views/index.js'

const Logo = () => html`
  <svg class="logo" viewBox="0 0 20 20" aria-hidden="true">
    <rect width="20" height="20" rx="5" /><path d="M5 4.5v11M15 4.5v11M5 8h10M5 12q2.5-2 5 0t5 0" />
  </svg>
`

/** Which gateway this is and how it is. */
function GatewayCard() {
  const { data } = useTopology()
  const now = useNow(10_000)
  if (data === undefined) return html`<div class="gateway-card muted">…</div>`
  const { version, state, startedAt } = data.gateway
  return html`
    <div class="gateway-card">
      <p><${Dot} tone=${state === 'ready' ? 'good' : 'warn'} /> <b>${location.host}</b></p>
      <p class="muted">${state} · ${version} · up ${span(Math.max(0, now - startedAt))}</p>
    </div>
  `
}

/** @param {{ view: import('../views/index.js').ViewEntry, isCurrent: boolean }} props */
const NavLink = ({ view: { id, title, icon, Badge }, isCurrent }) => html`
  <li><a class=${cx('nav-link', isCurrent && 'is-current')} href=${href(id)} aria-current=${isCurrent ? 'page' : undefined}>
    <${Icon} name=${icon} /><span>${title}</span>${Badge && html`<${Badge} />`}
  </a></li>
`

/** @param {{ current: string | undefined, isOpen: boolean, onClose: () => void }} props */
export function Nav({ current, isOpen, onClose }) {
  useEffect(() => {
    if (!isOpen) return
    const close = (/** @type {KeyboardEvent} */ { key }) => key === 'Escape' && onClose()
    addEventListener('keydown', close)
    return () => removeEventListener('keydown', close)
  }, [isOpen, onClose])
  return html`
    <div class="scrim" onClick=${onClose}></div>
    <nav class="side" id="side" aria-label="Views">
      <a class="brand" href=${href('overview')}><${Logo} /><b>Sluice</b></a>
      <div class="nav-groups">
        ${GROUPS.map((group) => {
          const views = VIEWS.filter((view) => view.group === group)
          if (views.length === 0) return null
          return html`<h2 class="nav-group">${group}</h2>
            <ul>${views.map((view) => html`<${NavLink} key=${view.id} view=${view} isCurrent=${view.id === current} />`)}</ul>`
        })}
      </div>
      <${GatewayCard} />
    </nav>
  `
}
