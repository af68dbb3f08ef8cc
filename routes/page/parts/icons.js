// @ts-check
import { html } from '../lib/html.js'

/** Outlines on a grid of 20. */
const PATHS = {
  overview: 'M3 3h6v8H3zM11 3h6v4h-6zM11 9h6v8h-6zM3 13h6v4H3z',
  topology: 'M2.5 8h4v4h-4zM13.5 2.5h4v4h-4zM13.5 13.5h4v4h-4zM6.5 10h3.5M13.5 4.5H10v11h3.5',
  services: 'M3 3.5h14v5H3zM3 11.5h14v5H3zM6 6h.01M6 14h.01M9.5 6H14M9.5 14H14',
  events: 'M10 5.5V10l3 2M10 2.5a7.5 7.5 0 1 0 0 15 7.5 7.5 0 0 0 0-15z',
  routes: 'M4 16V9a4 4 0 0 1 4-4h8M12.5 1.5 16 5l-3.5 3.5M4 16h8',
  canary: 'M4 16l4-10 4 10 4-10M4 16h12',
  tables: 'M3 4h14v12H3zM3 8h14M8 8v8',
  shield: 'M10 2.5 16 5v4.5c0 4-2.6 6.5-6 8-3.4-1.5-6-4-6-8V5z',
  mirror: 'M10 2v16M7 5 2.5 15H7zM13 5l4.5 10H13z',
  tools: 'M12.5 3a4.5 4.5 0 0 0-4.2 6.1L3 14.4 5.6 17l5.3-5.3A4.5 4.5 0 0 0 17 6.5L14 9l-2.5-.5L11 6z',
  metrics: 'M3 17V3M3 17h14M6.5 13l3-4 3 2 4-6',
  explain:
    'M10 2.5a7.5 7.5 0 1 0 0 15 7.5 7.5 0 0 0 0-15zM7.7 7.9a2.3 2.3 0 1 1 3.3 2.1c-.7.3-1 .8-1 1.5M10 14h.01',
  record: 'M3 4h14v12H3zM10 7.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z',
  contract: 'M5 2.5h7l3.5 3.5v11.5H5zM12 2.5V6h3.5M8 10h5M8 13.5h5',
  alert:
    'M10 3a4.5 4.5 0 0 0-4.5 4.5c0 4-1.5 5.5-1.5 5.5h12s-1.5-1.5-1.5-5.5A4.5 4.5 0 0 0 10 3zM8.5 16a1.6 1.6 0 0 0 3 0',
  history: 'M3 10a7 7 0 1 0 2.200-5.100L3 7M3 3v4h4M10 6.5V10l2.5 1.5',
  fleet: 'M3 3.5h5v5H3zM12 3.5h5v5h-5zM7.5 12h5v5h-5zM5.5 8.5v2h9v-2M10 10.5V12',
  audit: 'M4 3h12v14H4zM7 7h6M7 10h6M7 13h3',
  copy: 'M7 7h9v9H7zM13 7V4H4v9h3',
  check: 'm4.5 10.5 3.5 3.5 7.5-8',
  down: 'm4.5 7.5 5.5 5.5 5.5-5.5',
  reload: 'M16 4v4h-4M4 16v-4h4M15.5 8A6 6 0 0 0 5 6.200M4.5 12A6 6 0 0 0 15 13.8',
  link: 'M8.5 11.5a3 3 0 0 0 4.200 0l3-3a3 3 0 0 0-4.200-4.200l-.8.8M11.5 8.5a3 3 0 0 0-4.200 0l-3 3a3 3 0 0 0 4.200 4.200l.8-.8',
  sun: 'M10 6.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM10 1.5v2M10 16.5v2M1.5 10h2M16.5 10h2M4 4l1.4 1.4M14.6 14.6 16 16M16 4l-1.4 1.4M5.4 14.6 4 16',
  moon: 'M16.5 12A7 7 0 0 1 8 3.5 7 7 0 1 0 16.5 12z',
  system: 'M3 4h14v9H3zM7 16.5h6M10 13v3.5',
  menu: 'M3 5.5h14M3 10h14M3 14.5h14',
  close: 'm5 5 10 10M15 5 5 15',
  search: 'M9 3.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM13 13l4 4',
  plus: 'M10 4v12M4 10h12',
  minus: 'M4 10h12',
  fit: 'M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4',
  pause: 'M7 4v12M13 4v12',
  play: 'M6 4l10 6-10 6z',
  out: 'M8 3.5H3.5v13H8M12.5 6.5 16 10l-3.5 3.5M16 10H7.5',
  right: 'M7.5 4.5 13 10l-5.5 5.5',
  warning: 'M10 3 1.8 17h16.4zM10 8v4M10 14.5h.01',
}

/** @typedef {keyof typeof PATHS} IconName */

/** Beside a text, or with one for readers: an icon alone says nothing. @param {{ name: IconName }} props */
export const Icon = ({ name }) => html`
  <svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false"><path d=${PATHS[name]} /></svg>
`
