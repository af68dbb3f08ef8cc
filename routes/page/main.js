// @ts-check
import { h, render } from 'preact'
import { App } from './app.js'
import { startEvents } from './lib/events.js'
import { startRouter } from './lib/router.js'
import { showTheme } from './lib/theme.js'

showTheme()
startRouter()
startEvents()
const root = /** @type {HTMLElement} */ (document.getElementById('app'))
root.replaceChildren()
render(h(App, null), root)
