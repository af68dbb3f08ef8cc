// @ts-check
import { html } from '../lib/html.js'
import { Note } from '../parts/states.js'

/** @type {import('./index.js').ViewEntry} */
export const events = {
  id: 'events',
  title: 'Events',
  group: 'Observe',
  icon: 'events',
  View: () => html`<${Note} title="Soon" />`,
}
