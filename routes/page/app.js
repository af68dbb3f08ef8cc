// @ts-check
import { Component } from 'preact'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import { useCell } from './lib/cell.js'
import { cx, html } from './lib/html.js'
import { place } from './lib/router.js'
import { needsSignIn } from './lib/session.js'
import { Note } from './parts/states.js'
import { Toasts } from './parts/toast.js'
import { StaleBanner } from './shell/contact.js'
import { Nav } from './shell/nav.js'
import { SignIn } from './shell/sign-in.js'
import { TopBar } from './shell/top-bar.js'
import { VIEWS } from './views/index.js'

/** One view that fails must not take the page with it. @extends {Component<{ children?: any }, { thrown?: unknown }>} */
class Guard extends Component {
  /** @override @param {unknown} thrown */
  static getDerivedStateFromError(thrown) {
    return { thrown }
  }
  /** @override @param {unknown} thrown */
  componentDidCatch(thrown) {
    console.error(thrown)
  }
  /** @override */
  render() {
    if (this.state.thrown === undefined) return this.props.children
    return html`<${Note} icon="warning" title="This view failed">${String(this.state.thrown)} — the others still work.<//>`
  }
}

function Shell() {
  const { view: id, rest } = useCell(place)
  const [isOpen, setOpen] = useState(false)
  const view = VIEWS.find((one) => one.id === id) ?? VIEWS[0]
  const main = useRef(/** @type {HTMLElement | null} */ (null))
  const path = [view?.id, ...rest].join('/')
  const before = useRef(path)
  const title = rest.length > 0 ? rest.join(' / ') : (view?.title ?? '')
  // With the view itself: a moment later it would take the focus from where somebody has gone on to.
  useLayoutEffect(() => {
    document.title = `${title} · Sluice`
    if (before.current === path) return
    before.current = path
    setOpen(false)
    scrollTo(0, 0)
    // Readers go on at the new view, not at the link that led there.
    main.current?.focus({ preventScroll: true })
  }, [path])
  return html`
    <div class=${cx('shell', isOpen && 'is-menu-open')}>
      <button type="button" class="skip" onClick=${() => main.current?.focus()}>Skip to content</button>
      <${Nav} current=${view?.id} isOpen=${isOpen} onClose=${() => setOpen(false)} />
      <div class="body">
        <${TopBar} view=${view} rest=${rest} isMenuOpen=${isOpen} onMenu=${() => setOpen(!isOpen)} />
        <${StaleBanner} />
        <main id="main" tabindex="-1" ref=${main} aria-label=${title}>
          <${Guard} key=${view?.id}><${view?.View} rest=${rest} /><//>
        </main>
      </div>
    </div>
  `
}

/** The whole page. */
export function App() {
  const isSignedOut = useCell(needsSignIn)
  return html`${isSignedOut ? html`<${SignIn} />` : html`<${Shell} />`}<${Toasts} />`
}
