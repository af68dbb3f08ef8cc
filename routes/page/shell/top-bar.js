// @ts-check
import { useCell } from '../lib/cell.js'
import { useSession } from '../lib/data.js'
import { html } from '../lib/html.js'
import { href } from '../lib/router.js'
import { signOut } from '../lib/session.js'
import { setTheme, theme } from '../lib/theme.js'
import { Icon } from '../parts/icons.js'
import { ContactPill } from './contact.js'

/** @type {readonly import('../lib/theme.js').Theme[]} */
const THEMES = ['system', 'light', 'dark']
const THEME_ICON = /** @type {const} */ ({ system: 'system', light: 'sun', dark: 'moon' })

function ThemeSwitch() {
  const now = useCell(theme)
  const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length] ?? 'system'
  return html`<button type="button" class="icon-button" aria-label="Colours: ${now}. Change to ${next}" title="Colours: ${now}" onClick=${() => setTheme(next)}>
    <${Icon} name=${THEME_ICON[now]} />
  </button>`
}

function Session() {
  const { canWrite, who, via } = useSession()
  return html`
    ${!canWrite && html`<span class="pill tone-idle" title="This session may look at everything and change nothing">read-only</span>`}
    ${via !== 'open' && who && html`<span class="who muted">${who}</span>`}
    ${via === 'session' && html`<button type="button" class="icon-button" aria-label="Sign out" title="Sign out" onClick=${signOut}><${Icon} name="out" /></button>`}
  `
}

/** @param {{ view: import('../views/index.js').ViewEntry, rest: readonly string[], isMenuOpen: boolean, onMenu: () => void }} props */
export function TopBar({ view, rest, isMenuOpen, onMenu }) {
  return html`
    <header class="top-bar">
      <button type="button" class="icon-button menu-button" aria-label="Menu" aria-expanded=${isMenuOpen ? 'true' : 'false'} aria-controls="side" onClick=${onMenu}><${Icon} name=${isMenuOpen ? 'close' : 'menu'} /></button>
      <h1>${
        rest.length === 0
          ? view.title
          : html`<a href=${href(view.id)}>${view.title}</a><${Icon} name="right" /><span>${rest.join(' / ')}</span>`
      }</h1>
      <div class="top-bar-aside"><${ContactPill} /><${ThemeSwitch} /><${Session} /></div>
    </header>
  `
}
