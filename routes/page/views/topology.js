// @ts-check
import { html } from '../lib/html.js'
import { Note } from '../parts/states.js'

/** @type {import('./index.js').ViewEntry} */
export const topology = {
  id: 'topology',
  title: 'Topology',
  group: 'Observe',
  icon: 'topology',
  View: () => html`<${Note} title="Soon" />`,
}
