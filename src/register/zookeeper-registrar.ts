import { readFileSync } from 'node:fs'
import { GatewayError } from '../core/errors.ts'
import { ZooKeeperClient } from '../zookeeper/client.ts'
import type { ZooKeeperTls } from '../zookeeper/connection.ts'
import { type Acl, isRefusal, type NodeStat, OPEN_ACL, OWN_ACL, REFUSAL } from '../zookeeper/messages.ts'
import { DRAIN_KEY, drainMarkOf, ownRecord } from '../zookeeper/own-records.ts'
import { childPath, isNodePath } from '../zookeeper/servers.ts'
import { CALL_TIMEOUT_MS } from './agent.ts'
import type { HealthReport } from './health.ts'
import type { Registrar } from './registrar.ts'
import { OWNER, OWNER_KEY, type Settings } from './settings.ts'
import type { ZooKeeperTarget } from './zookeeper-target.ts'

/** For the end of the session. ms. */
const CLOSE_MS = 500
/** Somebody may delete a parent, or write at the same time as we: then it is tried again, this often. */
const TRIES = 4
/** Nodes of other instances that are read at a time. */
const MAX_READS = 64

interface Words {
  readonly state: string
  readonly output: string
}

/**
 * An instance in ZooKeeper, as Curator has it: an ephemeral node, which ends with our session. A beat looks whether the
 * node is ours still, and writes it only when the state is another; a session that ended is told at once.
 */
export class ZooKeeperRegistrar implements Registrar {
  readonly url: string
  readonly #settings: Settings
  readonly #client: ZooKeeperClient
  readonly #parent: string
  readonly #path: string
  readonly #base: string
  readonly #acl: readonly Acl[]
  readonly #registeredAt = Date.now()
  #isStarted = false
  /** Whose the node is, when it is ours. */
  #session: bigint | undefined
  /** What it says of us, and as which version. */
  #words: Words = { state: 'critical', output: 'it has just started' }
  #version = -1

  /** `onForgotten`: the session is over, and the node with it. Throws GW_REGISTER_OPTIONS. */
  constructor(settings: Settings, target: ZooKeeperTarget, onForgotten: () => void = () => {}) {
    this.#settings = settings
    this.#base = target.base
    this.#parent = childPath(target.base, settings.service)
    this.#path = childPath(this.#parent, settings.id)
    if (!isNodePath(this.#path) || settings.service.includes('/') || settings.id.includes('/')) {
      throw new GatewayError(
        'GW_REGISTER_OPTIONS',
        `${this.#path} can be no node of ZooKeeper: no / in names`,
      )
    }
    this.url = `${target.servers.join(',')}${target.base}`
    this.#acl = target.auth === undefined ? OPEN_ACL : OWN_ACL
    const { ca, cert, key, verify } = target.tls ?? {}
    const tls: ZooKeeperTls | undefined =
      target.tls === undefined
        ? undefined
        : { ca: readPem(ca), cert: readPem(cert), key: readPem(key), verify }
    this.#client = new ZooKeeperClient(
      {
        servers: target.servers,
        sessionTimeoutMs: settings.ttlMs,
        auth: target.auth,
        tls,
        isBackground: true,
      },
      {
        onConnected: ({ isNewSession }) => {
          if (isNewSession && this.#session !== undefined) onForgotten()
        },
        onFailure() {},
        onWatch() {},
      },
      Math.random,
    )
  }

  register(): Promise<void> {
    return this.#call(CALL_TIMEOUT_MS, async () => {
      this.#session = undefined
      for (let tries = 0; tries < TRIES; tries++) {
        const outcome = await this.#client.create(this.#path, this.#record(), {
          isEphemeral: true,
          acl: this.#acl,
        })
        if (outcome === 'created') {
          this.#session = this.#client.sessionId
          this.#version = 0
          return
        }
        if (outcome === 'orphan') {
          await this.#client.ensure(this.#base)
          await this.#client.create(this.#parent, Buffer.alloc(0), { acl: this.#acl })
        } else {
          // Of a former session that is not over yet, or of a former process: it would end under us.
          await this.#client.remove(this.#path)
        }
      }
      throw new GatewayError(
        'GW_REGISTRY_ANSWER',
        `${this.#path} cannot be made: others make and delete it, too`,
      )
    })
  }

  report({ state, output }: HealthReport): Promise<string | undefined> {
    return this.#call(CALL_TIMEOUT_MS, async () => {
      if (this.#session !== this.#client.sessionId) return 'its session has ended'
      const stat = await this.#client.exists(this.#path)
      if (stat === undefined) return 'its node is gone'
      if (stat.ephemeralOwner !== this.#session) return 'its node is another session’s'
      // Other words for the same state are no news.
      if (state === this.#words.state && stat.version === this.#version) return undefined
      return (await this.#write({ state, output })) ? undefined : 'its node is gone'
    })
  }

  mark(reason: string): Promise<void> {
    return this.#call(CALL_TIMEOUT_MS, async () => {
      await this.#write({ state: 'draining', output: reason === '' ? 'draining' : `draining: ${reason}` })
    })
  }

  remove(limitMs: number): Promise<void> {
    return this.#call(limitMs, async () => {
      this.#session = undefined
      await this.#client.remove(this.#path)
    })
  }

  clearLeftovers(): Promise<void> {
    return this.#call(CALL_TIMEOUT_MS, async () => {
      const names = (await this.#client.getChildren(this.#parent)) ?? []
      const others = names.map((name) => childPath(this.#parent, name)).filter((path) => path !== this.#path)
      for (let from = 0; from < others.length; from += MAX_READS) {
        await Promise.all(others.slice(from, from + MAX_READS).map((path) => this.#clear(path)))
      }
    })
  }

  close(): void {
    void this.#client.close(CLOSE_MS)
  }

  async #clear(path: string): Promise<void> {
    const found = await this.#client.getData(path).catch((thrown: unknown) => {
      if (isRefusal(thrown, REFUSAL.noAuth)) return undefined
      throw thrown
    })
    if (found !== undefined && isLeftover(found.data.toString('utf8'), this.#settings)) {
      await this.#client.remove(path)
    }
  }

  /** Keeps the drain mark that somebody else may have set. False: there is no such node. */
  async #write(words: Words): Promise<boolean> {
    for (let tries = 0; tries < TRIES; tries++) {
      const found = await this.#client.getData(this.#path)
      if (found === undefined) return false
      const mark = drainMarkOf(found.data.toString('utf8'))
      this.#words = words
      const data = this.#record(mark)
      if (data.equals(found.data)) {
        this.#version = found.stat.version
        return true
      }
      if (await this.#set(data, found.stat)) return true
    }
    throw new GatewayError('GW_REGISTRY_ANSWER', `${this.#path}: others write it all the time`)
  }

  /** False: somebody else was faster. */
  async #set(data: Buffer, { version }: NodeStat): Promise<boolean> {
    try {
      await this.#client.setData(this.#path, data, version)
      this.#version = version + 1
      return true
    } catch (thrown) {
      if (isRefusal(thrown, REFUSAL.badVersion)) return false
      throw thrown
    }
  }

  #record(mark?: string): Buffer {
    const { service, id, address, port, weights, tags, meta } = this.#settings
    const { state, output } = this.#words
    const metadata: Record<string, string> = {
      ...meta,
      ...(weights.passing === 1 ? {} : { weight: String(weights.passing) }),
      ...(weights.warning === weights.passing ? {} : { 'weight-warning': String(weights.warning) }),
      ...(tags.length === 0 ? {} : { tags: JSON.stringify(tags) }),
      state,
      'state-output': output,
      ...(mark === undefined ? {} : { [DRAIN_KEY]: mark }),
    }
    const isTls = meta['scheme'] === 'https'
    return Buffer.from(
      ownRecord({ service, id, address, port, isTls, metadata, registeredAt: this.#registeredAt }),
    )
  }

  /** Waits for a connection, then makes the call; both within the limit. The timer holds the process as long. */
  async #call<T>(limitMs: number, call: () => Promise<T>): Promise<T> {
    if (!this.#isStarted) this.#client.start()
    this.#isStarted = true
    let timer: NodeJS.Timeout | undefined
    const begun = performance.now()
    await this.#client.ready(limitMs)
    const left = Math.max(1, limitMs - (performance.now() - begun))
    try {
      return await Promise.race([
        call(),
        new Promise<never>((_, reject) => {
          const text = `${this.url}: no answer in ${limitMs} ms`
          timer = setTimeout(() => reject(new GatewayError('GW_REGISTRY_TIMEOUT', text)), left)
        }),
      ])
    } finally {
      clearTimeout(timer)
    }
  }
}

function isLeftover(text: string, { address, port }: Settings): boolean {
  try {
    const record = JSON.parse(text) as {
      address?: string
      port?: number
      payload?: { metadata?: Record<string, string> } | null
    } | null
    return (
      record?.address === address && record.port === port && record.payload?.metadata?.[OWNER_KEY] === OWNER
    )
  } catch {
    return false
  }
}

function readPem(file: string | undefined): Buffer | undefined {
  try {
    return file === undefined ? undefined : readFileSync(file)
  } catch (cause) {
    throw new GatewayError('GW_REGISTER_OPTIONS', `${file} cannot be read`, { cause })
  }
}
