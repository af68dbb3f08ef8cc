import { errorText } from '../core/errors.ts'
import type { Instance } from '../core/types.ts'
import { EtcdClient, type EtcdConnection } from '../etcd/client.ts'
import { markKey, recordKey } from '../etcd/own-keys.ts'
import type { DrainTeller, Telling } from './drain-teller.ts'

/**
 * Drain marks in the own layout: a key below the record of the instance, with the record's lease, so that it goes
 * with the instance and a new life begins without it. Needs the right to write there.
 */
export class EtcdDrain implements DrainTeller {
  readonly #connection: EtcdConnection
  readonly #prefix: string
  readonly #now: () => number

  /** `prefix` without a slash at its end. `now`: ms since the epoch. */
  constructor(connection: EtcdConnection, prefix: string, now: () => number) {
    this.#connection = { timeoutMs: 2000, ...connection }
    this.#prefix = prefix
    this.#now = now
  }

  async tell({ service, id }: Instance, reason: string | undefined): Promise<Telling> {
    const record = recordKey(this.#prefix, service, id)
    const mark = markKey(this.#prefix, service, id)
    try {
      const client = new EtcdClient(this.#connection)
      if (reason === undefined) {
        await client.remove(mark)
        return { isTold: true, detail: `etcd was told at ${mark}` }
      }
      const found = await client.get(record)
      if (found === undefined) return { isTold: false, detail: `etcd has no ${record} any more` }
      const value = JSON.stringify({ reason, at: this.#now() })
      const isThere = await client.put(mark, value, found.lease)
      return isThere
        ? { isTold: true, detail: `etcd was told at ${mark}` }
        : { isTold: false, detail: `the lease of ${record} has just ended` }
    } catch (thrown) {
      return { isTold: false, detail: `etcd could not be told: ${errorText(thrown)}` }
    }
  }
}
