import type { Random } from '../core/duration.ts'
import { errorText } from '../core/errors.ts'
import type { Instance } from '../core/types.ts'
import { ZooKeeperClient } from '../zookeeper/client.ts'
import { isRefusal, REFUSAL } from '../zookeeper/messages.ts'
import { withDrainMark } from '../zookeeper/own-records.ts'
import { childPath } from '../zookeeper/servers.ts'
import type { DrainTeller, Telling } from './drain-teller.ts'
import { readTls, type ZooKeeperTlsFiles } from './zookeeper-tls.ts'

/** For the connection, and for the writing. ms. */
const LIMIT_MS = 2000
/** Somebody may write at the same time. */
const TRIES = 4

export interface ZooKeeperDrainOptions {
  readonly servers: readonly string[]
  readonly base: string
  readonly auth?: string | undefined
  readonly tls?: ZooKeeperTlsFiles | undefined
}

/**
 * Drain marks in Curator's layout: metadata `drain` and `enabled: false` in the record of the instance, which go with
 * it. Needs the right to write there.
 */
export class ZooKeeperDrain implements DrainTeller {
  readonly #options: ZooKeeperDrainOptions
  readonly #random: Random

  constructor(options: ZooKeeperDrainOptions, random: Random) {
    this.#options = options
    this.#random = random
  }

  async tell({ service, id }: Instance, reason: string | undefined): Promise<Telling> {
    const { servers, base, auth, tls } = this.#options
    const path = childPath(childPath(base, service), id)
    try {
      const client = new ZooKeeperClient(
        { servers, sessionTimeoutMs: 2 * LIMIT_MS, auth, tls: tls === undefined ? undefined : readTls(tls) },
        { onConnected() {}, onFailure() {}, onWatch() {} },
        this.#random,
      )
      client.start()
      // Its end also ends what waits for an answer.
      const timer = setTimeout(() => void client.close(0), 2 * LIMIT_MS)
      try {
        await client.ready(LIMIT_MS)
        return await this.#write(client, path, reason)
      } finally {
        clearTimeout(timer)
        await client.close(LIMIT_MS)
      }
    } catch (thrown) {
      return { isTold: false, detail: `ZooKeeper could not be told: ${errorText(thrown)}` }
    }
  }

  async #write(client: ZooKeeperClient, path: string, reason: string | undefined): Promise<Telling> {
    for (let tries = 0; tries < TRIES; tries++) {
      const found = await client.getData(path)
      if (found === undefined) return { isTold: false, detail: `ZooKeeper has no ${path} any more` }
      const text = withDrainMark(found.data.toString('utf8'), reason)
      if (text === undefined) return { isTold: false, detail: `${path} holds no record` }
      try {
        await client.setData(path, Buffer.from(text), found.stat.version)
        return { isTold: true, detail: `ZooKeeper was told at ${path}` }
      } catch (thrown) {
        if (!isRefusal(thrown, REFUSAL.badVersion)) throw thrown
      }
    }
    return { isTold: false, detail: `${path}: others write it all the time` }
  }
}
