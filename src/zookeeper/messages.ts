import { type ErrorCode, GatewayError } from '../core/errors.ts'
import { type JuteReader, JuteWriter } from './jute.ts'

/** Requests, by their number in the protocol (ZooKeeper 3.4 to 3.9). */
export const OP = {
  create: 1,
  remove: 2,
  exists: 3,
  getData: 4,
  setData: 5,
  setAcl: 7,
  ping: 11,
  getChildren: 8,
  auth: 100,
  closeSession: -11,
} as const

/** Numbers of answers that belong to no request of ours. */
export const XID = { notification: -1, ping: -2, auth: -4 } as const

/** Refusals that callers tell apart. */
export const REFUSAL = {
  noNode: -101,
  noAuth: -102,
  badVersion: -103,
  nodeExists: -110,
  notEmpty: -111,
  sessionExpired: -112,
  authFailed: -115,
} as const

const REFUSAL_WORDS: Readonly<Record<number, string>> = {
  [-1]: 'system error',
  [-4]: 'connection loss',
  [-5]: 'marshalling error',
  [-6]: 'unimplemented',
  [-7]: 'operation timeout',
  [-8]: 'bad arguments',
  [REFUSAL.noNode]: 'no node',
  [REFUSAL.noAuth]: 'no right',
  [REFUSAL.badVersion]: 'bad version',
  [-108]: 'no children for ephemerals',
  [REFUSAL.nodeExists]: 'node exists',
  [REFUSAL.notEmpty]: 'not empty',
  [REFUSAL.sessionExpired]: 'session expired',
  [-114]: 'invalid ACL',
  [REFUSAL.authFailed]: 'authentication failed',
  [-118]: 'session moved',
  [-119]: 'not read-only',
  [-125]: 'quota exceeded',
}

/** A refusal of the server. `refusal` is its number. */
export class ZooKeeperRefusal extends GatewayError {
  readonly refusal: number

  constructor(refusal: number, what: string) {
    const isRight = refusal === REFUSAL.noAuth || refusal === REFUSAL.authFailed
    const code: ErrorCode = isRight ? 'GW_REGISTRY_ACL' : 'GW_REGISTRY_ANSWER'
    super(code, `${what}: ZooKeeper says ${REFUSAL_WORDS[refusal] ?? 'error'} (${refusal})`)
    this.refusal = refusal
  }
}

/** Whether a thrown thing is this refusal. */
export function isRefusal(thrown: unknown, refusal: number): boolean {
  return thrown instanceof ZooKeeperRefusal && thrown.refusal === refusal
}

/** What a server keeps about a node. `zxid`s number all changes of an ensemble. */
export interface NodeStat {
  /** Of the node's making. */
  readonly czxid: bigint
  /** Of its last change. */
  readonly mzxid: bigint
  readonly version: number
  /** Session whose end removes the node; 0 = it stays. */
  readonly ephemeralOwner: bigint
}

export function readStat(reader: JuteReader): NodeStat {
  const czxid = reader.long()
  const mzxid = reader.long()
  reader.long()
  reader.long()
  const version = reader.int()
  reader.int()
  reader.int()
  const ephemeralOwner = reader.long()
  reader.int()
  reader.int()
  reader.long()
  return { czxid, mzxid, version, ephemeralOwner }
}

/** Rights of a node for one who. `auth`: whoever made the node, by the credentials of the session. */
export interface Acl {
  /** 1 read, 2 write, 4 create, 8 delete, 16 admin. */
  readonly permissions: number
  readonly scheme: 'world' | 'auth' | 'digest'
  /** `anyone`, empty for `auth`, `user:base64(sha1(user:password))` for `digest`. */
  readonly id: string
}

export const ALL_RIGHTS = 31
export const READ_RIGHT = 1

/** Everybody may do everything. */
export const OPEN_ACL: readonly Acl[] = [{ permissions: ALL_RIGHTS, scheme: 'world', id: 'anyone' }]
/** Who made it may do everything, others may read. */
export const OWN_ACL: readonly Acl[] = [
  { permissions: ALL_RIGHTS, scheme: 'auth', id: '' },
  { permissions: READ_RIGHT, scheme: 'world', id: 'anyone' },
]

export function writeAcl(writer: JuteWriter, acl: readonly Acl[]): JuteWriter {
  return writer.list(acl, ({ permissions, scheme, id }) => {
    writer.int(permissions).text(scheme).text(id)
  })
}

export type WatchType = 'created' | 'deleted' | 'changed' | 'children'

const WATCH_TYPES: Readonly<Record<number, WatchType>> = {
  1: 'created',
  2: 'deleted',
  3: 'changed',
  4: 'children',
}

/** A watch that fired; it is gone with that. */
export interface WatchEvent {
  readonly type: WatchType
  readonly path: string
}

/** Undefined for events of the session, which the connection itself tells. */
export function readWatchEvent(reader: JuteReader): WatchEvent | undefined {
  const type = WATCH_TYPES[reader.int()]
  reader.int()
  return type === undefined ? undefined : { type, path: reader.text() }
}

/** What a client has of its session; all zero = a new one is asked for. */
export interface Session {
  readonly id: bigint
  readonly password: Buffer
  /** As the server has it. ms. */
  readonly timeoutMs: number
}

export function connectRequest(session: Session, lastZxid: bigint): Buffer {
  return new JuteWriter()
    .int(0)
    .long(lastZxid)
    .int(session.timeoutMs)
    .long(session.id)
    .bytes(session.password)
    .flag(false)
    .frame()
}

/** Undefined: the server does not know the session any more. */
export function readConnectAnswer(reader: JuteReader): Session | undefined {
  reader.int()
  const timeoutMs = reader.int()
  const id = reader.long()
  // A copy: the frame is a part of a much larger buffer.
  const password = Buffer.from(reader.bytes())
  return timeoutMs <= 0 ? undefined : { id, password, timeoutMs }
}
