// @ts-check
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { useCell } from '../lib/cell.js'
import { useTopology, useTraffic } from '../lib/data.js'
import { count, plural } from '../lib/format.js'
import { buildGraph, depthFor } from '../lib/graph.js'
import { isTrouble, serviceTone } from '../lib/health.js'
import { html } from '../lib/html.js'
import { formOf, layOut } from '../lib/layout.js'
import { useResource } from '../lib/resource.js'
import { goQuery, place } from '../lib/router.js'
import { share } from '../lib/share.js'
import { Choice, Search } from '../parts/field.js'
import { GraphPicture } from '../parts/graph-picture.js'
import { Answer, Loading, Note } from '../parts/states.js'
import { TopologyChoice } from './topology-choice.js'
import { TopologyList } from './topology-list.js'

/** @typedef {import('../lib/contract.js').TopologyView} TopologyView */
/** @typedef {import('../lib/graph.js').RouteView} RouteView */
/** @typedef {import('../lib/graph.js').Component} Component */

/**
 * The services and routes that are asked for: by a text, and only those in trouble.
 * @param {TopologyView} topology
 * @param {readonly RouteView[]} routes
 * @param {string} text
 * @param {boolean} isOnlyTrouble
 */
function filtered({ services }, routes, text, isOnlyTrouble) {
  const needle = text.trim().toLowerCase()
  if (needle === '' && !isOnlyTrouble) return { services, routes }
  const named = new Set(
    routes.filter(({ name }) => name.toLowerCase().includes(needle)).flatMap((one) => one.services),
  )
  const kept = services.filter(
    (service) =>
      (!isOnlyTrouble || isTrouble(serviceTone(service))) &&
      (needle === '' || service.name.toLowerCase().includes(needle) || named.has(service.name)),
  )
  const names = new Set(kept.map(({ name }) => name))
  return { services: kept, routes: routes.filter((route) => route.services.some((name) => names.has(name))) }
}

/** The same components as long as nothing of them changed. @param {readonly Component[]} components */
function useShared(components) {
  const before = useRef(components)
  before.current = share(before.current, components)
  return before.current
}

/** Where everything stands: asked of the worker when the form changes; until it answers, as before. @param {readonly Component[]} components @param {boolean} isMany */
function useLayout(components, isMany) {
  const form = useMemo(() => formOf(components), [components])
  const [known, setKnown] = useState({
    form: '',
    layout: /** @type {any} */ (undefined),
    components,
    problem: '',
  })
  const latest = useRef(components)
  latest.current = components
  useEffect(() => {
    let isOver = false
    layOut(latest.current, isMany).then(
      (layout) => !isOver && setKnown({ form, layout, components: latest.current, problem: '' }),
      (thrown) => !isOver && setKnown((before) => ({ ...before, problem: String(thrown.message) })),
    )
    return () => {
      isOver = true
    }
  }, [form, isMany])
  // Figures and colours are those of now wherever the nodes are those that were placed.
  return { ...known, components: known.form === form ? components : known.components }
}

/** @param {{ topology: TopologyView, routes: readonly RouteView[] }} props */
function Landscape({ topology, routes }) {
  const traffic = useTraffic().data
  const { q = '', show = 'all', as = 'picture', node = '' } = useCell(place).query
  const [toggled, setToggled] = useState(/** @type {ReadonlySet<string>} */ (new Set()))
  const kept = useMemo(() => filtered(topology, routes, q, show === 'trouble'), [topology, routes, q, show])
  const instances = kept.services.reduce((sum, service) => sum + service.instances.length, 0)
  const depth = depthFor(kept.services.length, instances)
  const built = useMemo(
    () => buildGraph({ ...kept, traffic, depth, toggled }),
    [kept, traffic, depth, toggled],
  )
  const shared = useShared(built)
  const { layout, components, problem } = useLayout(shared, depth === 'services')
  const toggle = (/** @type {string} */ id) =>
    setToggled((before) => {
      const next = new Set(before)
      if (!next.delete(id)) next.add(id)
      return next
    })
  const troubled = topology.services.filter((service) => isTrouble(serviceTone(service))).length
  return html`
    <div class="toolbar">
      <${Search} label="Service or route" value=${q} onInput=${(/** @type {string} */ value) => goQuery({ q: value, node: '' })} />
      <${Choice} label="Which services" value=${show} onChange=${(/** @type {string} */ value) => goQuery({ show: value === 'all' ? '' : value, node: '' })}
        options=${[
          ['all', `All ${count(topology.services.length)}`],
          ['trouble', `In trouble ${count(troubled)}`],
        ]} />
      <span class="end muted" role="status">${plural(kept.services.length, 'service')}, ${plural(instances, 'instance')}</span>
      <${Choice} label="Show as" value=${as} onChange=${(/** @type {string} */ value) => goQuery({ as: value === 'picture' ? '' : value })}
        options=${[['picture', 'Picture'], ['list', 'List']]} />
    </div>
    ${
      kept.services.length + kept.routes.length === 0
        ? html`<section class="panel"><${Note} title=${topology.services.length === 0 ? 'No services and no routes yet' : 'Nothing matches'} /></section>`
        : as === 'list'
          ? html`<${TopologyList} services=${kept.services} routes=${kept.routes} traffic=${traffic} />`
          : html`<section class="panel topology" aria-label="Picture">
            ${
              layout === undefined
                ? problem
                  ? html`<${Note} icon="warning" title="No picture">${problem}. The list shows the same.<//>`
                  : html`<${Loading} rows=${6} />`
                : html`<${GraphPicture} components=${components} layout=${layout} chosen=${node} onChoose=${(/** @type {string} */ id) => goQuery({ node: id })} onToggle=${toggle} />`
            }
            ${node && html`<${TopologyChoice} key=${node} id=${node} topology=${topology} routes=${routes} traffic=${traffic} onClose=${() => goQuery({ node: '' })} />`}
          </section>`
    }
  `
}

/** Gateway → routes → services → versions → instances. */
function Topology() {
  const topology = useTopology()
  /** @type {import('../lib/resource.js').Known<{ routes: readonly RouteView[] }>} */
  const routes = useResource('/api/routes', { everyMs: 15_000, on: ['table'] })
  return html`<${Answer} of=${topology} name="Topology" rows=${8}>${(
    /** @type {TopologyView} */ data,
  ) => html`
    <${Answer} of=${routes} name="Routes" rows=${8}>${(/** @type {{ routes: readonly RouteView[] }} */ known) => html`<${Landscape} topology=${data} routes=${known.routes} />`}<//>`}<//>`
}

/** @type {import('./index.js').ViewEntry} */
export const topology = {
  id: 'topology',
  title: 'Topology',
  group: 'Observe',
  icon: 'topology',
  View: Topology,
}
