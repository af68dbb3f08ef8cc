import { agentRoutes } from './agent.ts'
import { auditRoutes } from './audit.ts'
import { canaryRoutes } from './canaries.ts'
import type { AdminRoutes } from './context.ts'
import { eventRoutes } from './events.ts'
import { fleetRoutes } from './fleet.ts'
import { healthRoutes } from './health.ts'
import { instanceRoutes } from './instances.ts'
import { mirrorRoutes } from './mirror.ts'
import { monitorRoutes } from './monitor.ts'
import { pageRoutes } from './page.ts'
import { questionRoutes } from './questions.ts'
import { refusalRoutes } from './refusals.ts'
import { requestRoutes } from './requests.ts'
import { routingRoutes } from './routing.ts'
import { sessionRoutes } from './session.ts'
import { tableRoutes } from './tables.ts'
import { toolRoutes } from './tools.ts'
import { trafficRoutes } from './traffic.ts'

/** Every group of endpoints of the admin side; the only place where one is registered. */
export const ADMIN_ROUTES: readonly AdminRoutes[] = [
  healthRoutes,
  routingRoutes,
  canaryRoutes,
  tableRoutes,
  questionRoutes,
  instanceRoutes,
  fleetRoutes,
  monitorRoutes,
  mirrorRoutes,
  trafficRoutes,
  refusalRoutes,
  requestRoutes,
  auditRoutes,
  sessionRoutes,
  toolRoutes,
  eventRoutes,
  agentRoutes,
  pageRoutes,
]
