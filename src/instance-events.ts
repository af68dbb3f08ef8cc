import type { EventHub } from '../plugins/events.ts'
import type { Instance } from './core/types.ts'
import type { InstanceEvent } from './core/views.ts'
import { cutReason } from './health/history.ts'
import { authorityOf } from './proxy/transport.ts'
import type { Upstreams } from './proxy/upstreams.ts'
import { type InstanceChange, instanceChanges } from './routing/instance-changes.ts'
import type { TableStore } from './routing/store.ts'
import type { Table } from './routing/table.ts'

function nameOf(service: string, instance: Instance) {
  const { key, id, version } = instance
  return { service, key, id, address: authorityOf(instance), ...(version === undefined ? {} : { version }) }
}

/** Why it is in its state, from the checks that say so. */
function stateReason({ state, checks = [], drained }: Instance): string | undefined {
  if (drained !== undefined) return drained === '' ? 'drained through this gateway' : drained
  if (state === 'passing' || state === 'unknown') return undefined
  const telling = checks.filter((check) => check.state === state)
  const text = telling.map(({ id, output }) => (output === '' ? id : `${id}: ${output}`)).join('; ')
  return text === '' ? undefined : cutReason(text)
}

function reasonOf(
  { kind, service, instance }: InstanceChange,
  before: Table,
  after: Table,
): string | undefined {
  if (kind !== 'left' && before.services.has(service)) return stateReason(instance)
  if (kind === 'appeared') return 'its service is new to the configuration'
  return after.services.has(service) ? undefined : 'nothing in the configuration names its service any more'
}

function eventOf(change: InstanceChange, before: Table, after: Table): InstanceEvent {
  const { kind, service, instance, from, to } = change
  const reason = reasonOf(change, before, after)
  return {
    kind,
    ...nameOf(service, instance),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(reason === undefined ? {} : { reason }),
  }
}

/** The life of each instance as events; those of the first table are not told, everybody is new then. */
export function publishInstanceEvents(parts: {
  readonly store: TableStore
  readonly upstreams: Upstreams
  readonly events: EventHub
  readonly monitor: { begin(table: Table): void; instance(event: InstanceEvent): void }
}): void {
  const { store, upstreams, events, monitor } = parts
  const publish = (event: InstanceEvent) => {
    events.publish('instance', { ...event })
    monitor.instance(event)
  }
  let before = store.current()
  store.onSwap((table) => {
    const last = before
    if (last === undefined) monitor.begin(table)
    else for (const change of instanceChanges(last, table)) publish(eventOf(change, last, table))
    before = table
  })
  upstreams.onLeaving(({ kind, service, instance, lastRequestAt }) =>
    publish({
      kind,
      ...nameOf(service, instance),
      ...(lastRequestAt === undefined ? {} : { lastRequestAt }),
    }),
  )
}
