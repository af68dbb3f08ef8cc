// @ts-check
/** Routes in words. */

/** @typedef {import('./shapes.js').RouteView} RouteView */

/** @param {Pick<RouteView, 'path'>} route */
export const pathText = ({ path: { kind, value } }) =>
  kind === 'prefix' ? `${value.replace(/\/$/, '')}/…` : kind === 'regex' ? `~ ${value}` : value

/** @param {Pick<RouteView, 'hosts'>} route */
export const hostText = ({ hosts }) =>
  hosts.length === 0 ? 'any host' : `${hosts[0]}${hosts.length > 1 ? ` (+${hosts.length - 1})` : ''}`

/** Without the folders above the configuration's. @param {string} source `file:line:column`. */
export const sourceText = (source) => /[^/]+\/[^/]+$/.exec(source)?.[0] ?? source

/** Everything that a search may find it by. @param {RouteView} route */
export const wordsOf = ({
  name,
  hosts,
  path,
  methods,
  conditions,
  target,
  filters,
  canaries,
  source,
  labels,
}) =>
  [
    name,
    ...hosts,
    path.value,
    ...methods,
    ...conditions,
    target,
    ...filters,
    ...canaries,
    source,
    ...Object.entries(labels).map(([key, value]) => `${key}=${value}`),
  ]
    .join('\n')
    .toLowerCase()
