// @ts-check
import { html } from '../lib/html.js'
import { useResource } from '../lib/resource.js'
import { Icon } from '../parts/icons.js'
import { Answer, Note } from '../parts/states.js'

/** @typedef {import('../lib/shapes.js').Tool} Tool */

/** Own paths only: what the configuration says must not lead a browser elsewhere. @param {string} path */
const isOwn = (path) => /^\/(?![/\\])/.test(path)

/** Other pages behind the same sign-in. */
function Tools() {
  /** @type {import('../lib/resource.js').Known<{ tools: readonly Tool[] }>} */
  const known = useResource('/api/tools', { everyMs: 60_000 })
  return html`<${Answer} of=${known} name="Tools" rows=${4}>${(
    /** @type {{ tools: readonly Tool[] }} */ { tools },
  ) =>
    tools.length === 0
      ? html`<div class="panel"><${Note} icon="tools" title="No tools">Pages of Consul, Prometheus, Grafana and others can be reached through the gateway, behind the same sign-in: see <code>admin.tools</code>.<//></div>`
      : html`<ul class="tools">${tools.map(
          ({ name, title, path }) => html`<li class="panel" key=${name}>
            ${isOwn(path) ? html`<a class="row-link" href=${path} target="_blank" rel="noopener">${title || name}<span class="hidden"> (new tab)</span></a>` : html`<b>${title || name}</b>`}
            <span class="mono muted">${path}</span><${Icon} name="right" />
          </li>`,
        )}</ul>`}<//>`
}

/** @type {import('./index.js').ViewEntry} */
export const tools = { id: 'tools', title: 'Tools', group: 'Gateway', icon: 'tools', View: Tools }
