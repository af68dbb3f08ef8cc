import type { Random } from '../core/duration.ts'
import { EtcdClient, type EtcdConnection } from '../etcd/client.ts'
import { followPrefix } from '../etcd/follow.ts'
import type { EtcdEntry } from '../etcd/wire.ts'
import type { ConfigKv, KeyValue } from './kv.ts'

export interface EtcdKvOptions extends EtcdConnection {
  /** How often a read checks that a watch still tells everything. ms. */
  readonly probeInterval: number
}

/** Configuration in etcd. */
export function etcdConfigKv(options: EtcdKvOptions, prefix: string, deps: { random: Random }): ConfigKv {
  const client = new EtcdClient(options)
  const toKeyValue = ({ key, value, modRevision }: EtcdEntry): KeyValue => ({
    key: key.slice(prefix.length),
    value,
    index: modRevision,
  })
  return {
    label: `etcd ${options.endpoints.join(', ')}`,
    prefix,
    async list(under) {
      const { entries } = await client.list(prefix + under)
      return entries.map(toKeyValue)
    },
    async write(key, value, index) {
      const conditions = index === undefined ? [] : [{ key: prefix + key, modRevision: index }]
      return (await client.commit(conditions, [{ put: prefix + key, value }])) === 'done'
    },
    remove: (key) => client.remove(prefix + key),
    async watch(under, onEntries, onError, signal) {
      const known = new Map<string, KeyValue>()
      const follow = { prefix: prefix + under, probeMs: options.probeInterval }
      const tell = () => onEntries([...known.values()])
      const handlers = {
        onList(entries: readonly EtcdEntry[]) {
          known.clear()
          for (const entry of entries) known.set(entry.key, toKeyValue(entry))
          tell()
        },
        onEvents(events: readonly (EtcdEntry & { readonly type: 'put' | 'delete' })[]) {
          for (const event of events) {
            if (event.type === 'put') known.set(event.key, toKeyValue(event))
            else known.delete(event.key)
          }
          tell()
        },
        onError: (error: Error) => onError(error.message),
      }
      // Each follower has a client of its own: after an error it goes to another member.
      await followPrefix(new EtcdClient(options), follow, handlers, deps, signal)
    },
    // Its sockets do not hold the process.
    async close() {},
  }
}
