import type { EventHub } from '../plugins/events.ts'
import type { Instance } from './core/types.ts'
import type { InstanceEvent } from './core/views.ts'
import { authorityOf } from './proxy/transport.ts'
import type { Upstreams } from './proxy/upstreams.ts'
import { instanceChanges } from './routing/instance-changes.ts'
import type { TableStore } from './routing/store.ts'

function nameOf(service: string, instance: Instance) {
  const { key, id, version } = instance
  return { service, key, id, address: authorityOf(instance), ...(version === undefined ? {} : { version }) }
}

/** The life of each instance as events; those of the first table are not told, everybody is new then. */
export function publishInstanceEvents(parts: {
  readonly store: TableStore
  readonly upstreams: Upstreams
  readonly events: EventHub
}): void {
  const { store, upstreams, events } = parts
  const publish = (event: InstanceEvent) => events.publish('instance', { ...event })
  let before = store.current()
  store.onSwap((table) => {
    for (const { kind, service, instance, from, to } of before === undefined
      ? []
      : instanceChanges(before, table)) {
      publish({
        kind,
        ...nameOf(service, instance),
        ...(from === undefined ? {} : { from }),
        ...(to === undefined ? {} : { to }),
      })
    }
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
