// @ts-check
import { html } from '../lib/html.js'
import { href } from '../lib/router.js'
import { sourceText } from '../lib/routes.js'
import { Facts, Panel } from './panel.js'
import { ReleaseCard, Shares } from './release-card.js'
import { Note } from './states.js'

/** @typedef {import('../lib/contract.js').CanaryView} CanaryView */

/** @param {readonly string[]} names */
const routeLinks = (names) =>
  names.length === 0
    ? 'all'
    : html`<span class="links">${names.map((name) => html`<a key=${name} href=${href('routes', [name])}>${name}</a>`)}</span>`

/** One canary rule or lane. @param {{ name: string, canary: CanaryView | undefined }} props */
export function Rule({ name, canary }) {
  if (canary === undefined) {
    return html`<div class="panel"><${Note} icon="warning" title="No rule of this name">The table in force has no canary rule or lane “${name}”. <a href=${href('releases')}>All of them</a><//></div>`
  }
  const {
    kind,
    source,
    routes,
    match,
    keys,
    cookie,
    forward,
    whenEmpty,
    sides,
    release,
    percent,
    releasedPins,
    isLive,
  } = canary
  return html`
    <div class="release-whole">
      ${
        release
          ? html`<${ReleaseCard} canary=${canary} isWhole />`
          : html`<${Panel} title="Shares" aside="${kind}, ${percent} % given away"><${Shares} sides=${sides} /><//>`
      }
      <div class="stack">
        <${Panel} title="Pins" aside=${releasedPins ? 'released' : ''}>
          ${match.length === 0 ? html`<p class="muted">None: everybody is drawn.</p>` : html`<ul class="plain">${match.map((text) => html`<li key=${text}>${text}</li>`)}</ul>`}
        <//>
        <${Panel} title="Rule">
          <${Facts} items=${[
            ['Declared in', html`<span title=${source}>${sourceText(source)}</span>`],
            ['Share', isLive ? 'led, not as the file says' : 'as the file says'],
            ['Routes', routeLinks(routes)],
            ['Drawn by', keys.join(', ') || '–'],
            cookie !== undefined && ['Cookie', html`<span class="mono">${cookie}</span>`],
            ['Told upstream in', html`<span class="mono">${forward}</span>`],
            ['When nobody of a side is there', whenEmpty === 'fail' ? 'refused' : 'stable answers'],
          ]} />
        <//>
      </div>
    </div>
  `
}
