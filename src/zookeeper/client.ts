import type { JuteReader, JuteWriter } from './jute.ts'
import { type Acl, isRefusal, type NodeStat, OP, OPEN_ACL, REFUSAL, readStat, writeAcl } from './messages.ts'
import { childPath } from './servers.ts'
import { ZooKeeperSession } from './session.ts'

/** Reads, writes and watches nodes. Paths: see `isNodePath`. */
export class ZooKeeperClient extends ZooKeeperSession {
  /** Names of the children; undefined when there is no such node (then no watch is set). */
  async getChildren(path: string, isWatched = false): Promise<string[] | undefined> {
    const answer = await this.#ask(OP.getChildren, path, (body) => body.flag(isWatched))
    return answer?.list(() => answer.text())
  }

  /** Undefined when there is no such node (then no watch is set). */
  async getData(path: string, isWatched = false): Promise<{ data: Buffer; stat: NodeStat } | undefined> {
    const answer = await this.#ask(OP.getData, path, (body) => body.flag(isWatched))
    if (answer === undefined) return undefined
    return { data: Buffer.from(answer.bytes()), stat: readStat(answer) }
  }

  /** Undefined when there is no such node; a watch is set in either case, and tells when it comes or goes. */
  async exists(path: string, isWatched = false): Promise<NodeStat | undefined> {
    const answer = await this.#ask(OP.exists, path, (body) => body.flag(isWatched))
    return answer === undefined ? undefined : readStat(answer)
  }

  /** `exists`: somebody else has it. `orphan`: it has no parent. */
  async create(
    path: string,
    data: Buffer,
    options: { readonly isEphemeral?: boolean; readonly acl?: readonly Acl[] } = {},
  ): Promise<'created' | 'exists' | 'orphan'> {
    try {
      const answer = await this.#ask(OP.create, path, (body) => {
        writeAcl(body.bytes(data), options.acl ?? OPEN_ACL).int(options.isEphemeral === true ? 1 : 0)
      })
      return answer === undefined ? 'orphan' : 'created'
    } catch (thrown) {
      if (isRefusal(thrown, REFUSAL.nodeExists)) return 'exists'
      throw thrown
    }
  }

  /** The node and all its parents, each without data. Those that exist stay as they are. */
  async ensure(path: string, acl?: readonly Acl[]): Promise<void> {
    let parent = '/'
    for (const name of path.split('/').filter((part) => part !== '')) {
      parent = childPath(parent, name)
      // Asking first: it needs no right to create.
      if ((await this.exists(parent)) === undefined) {
        await this.create(parent, Buffer.alloc(0), acl === undefined ? {} : { acl })
      }
    }
  }

  /** False when there is no such node. `version`: only when it is still this one, else a refusal. */
  async setData(path: string, data: Buffer, version = -1): Promise<boolean> {
    return (await this.#ask(OP.setData, path, (body) => body.bytes(data).int(version))) !== undefined
  }

  /** False when there is no such node. */
  async remove(path: string, version = -1): Promise<boolean> {
    return (await this.#ask(OP.remove, path, (body) => body.int(version))) !== undefined
  }

  /** False when there is no such node. */
  async setAcl(path: string, acl: readonly Acl[]): Promise<boolean> {
    return (await this.#ask(OP.setAcl, path, (body) => writeAcl(body, acl).int(-1))) !== undefined
  }

  async #ask(op: number, path: string, write: (body: JuteWriter) => void): Promise<JuteReader | undefined> {
    try {
      return await this.connection.request(op, path, (body) => write(body.text(path)))
    } catch (thrown) {
      if (isRefusal(thrown, REFUSAL.noNode)) return undefined
      throw thrown
    }
  }
}
