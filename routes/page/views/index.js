// @ts-check
import { alerts } from './alerts.js'
import { audit } from './audit.js'
import { contracts } from './contracts.js'
import { events } from './events.js'
import { explain } from './explain.js'
import { fleet } from './fleet.js'
import { history } from './history.js'
import { mirror } from './mirror.js'
import { overview } from './overview.js'
import { refusals } from './refusals.js'
import { releases } from './releases.js'
import { requests } from './requests.js'
import { routes } from './routes.js'
import { services } from './services.js'
import { tables } from './tables.js'
import { tools } from './tools.js'
import { topology } from './topology.js'

/**
 * One view of the page.
 * @typedef {object} ViewEntry
 * @property {string} id In the address: `#/<id>`.
 * @property {string} title
 * @property {string} group Heading in the navigation, one of GROUPS.
 * @property {import('../parts/icons.js').IconName} icon
 * @property {(props: { rest: readonly string[] }) => any} View `rest`: what follows the id in the address.
 * @property {() => any} [Badge] At the right of the title in the navigation.
 */

/** In the order of the navigation. */
export const GROUPS = ['Observe', 'Traffic', 'Gateway']

/**
 * Every view, in the order of the navigation within its group; the first is shown when the address names none.
 *
 * To add one: a file in this folder that exports a ViewEntry, and a line here. Data comes by `useResource(path, { everyMs,
 * on })` of lib/resource.js (shared, polled, asked again on events) and is drawn inside `<${Answer} of=… name=…>` of
 * parts/states.js, which knows the states loading, missing and failed. Writes: `send` of lib/api.js inside `Confirm` of
 * parts/dialog.js, only when `useSession().canWrite`; tell the outcome with `tell` of parts/toast.js and call `refresh`.
 * Its own styles: css/views/<id>.css inside `@layer views`. No style attributes as text: the CSP forbids them; an object
 * works.
 * @type {readonly ViewEntry[]}
 */
export const VIEWS = [
  overview,
  topology,
  services,
  events,
  alerts,
  history,
  routes,
  explain,
  requests,
  releases,
  refusals,
  mirror,
  contracts,
  tables,
  fleet,
  audit,
  tools,
]
