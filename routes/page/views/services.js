// @ts-check
import { html } from '../lib/html.js'
import { Note } from '../parts/states.js'

/** @type {import('./index.js').ViewEntry} */
export const services = {
  id: 'services',
  title: 'Services',
  group: 'Observe',
  icon: 'services',
  View: () => html`<${Note} title="Soon" />`,
}
