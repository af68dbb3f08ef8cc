import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns'
import { connect, isIPv6 } from 'node:net'
import { type Answer, type DecodedPacket, decode, encode, RECURSION_DESIRED, streamEncode } from 'dns-packet'
import { errorText, GatewayError } from '../core/errors.ts'

/** What fits through every network without fragments (DNS flag day 2020). Bytes. */
const UDP_SIZE = 1232
const ROUNDS = 2
const MAX_CHAIN = 8
/** Questions that are out at once. */
const MAX_AT_ONCE = 32

export type DnsType = 'A' | 'AAAA' | 'SRV'

export interface DnsOptions {
  /** `10.0.0.2`, `10.0.0.2:5353`, `[::1]:53`; empty = those of the machine. */
  readonly servers: readonly string[]
  /** For one answer of one server. ms. */
  readonly timeoutMs: number
}

/** What the name has; empty = there is no such name, or nothing of this type. */
export interface DnsAnswer {
  readonly records: readonly Answer[]
  /** What the server told beside it. */
  readonly additionals: readonly Answer[]
  /** How long it holds, negative answers by their SOA. s; undefined = nobody said. */
  readonly ttl: number | undefined
}

/**
 * A stub resolver: what Node's own does not tell is the TTL of SRV records and of negative answers. Servers are asked one
 * after another, twice; over TCP what is too long for UDP. A name that does not exist is an answer; SERVFAIL, REFUSED
 * and silence are none.
 */
export class DnsClient {
  readonly #options: DnsOptions
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(options: DnsOptions) {
    this.#options = options
  }

  /** Throws GW_REGISTRY_TIMEOUT, _UNREACHABLE or _ANSWER, with name, type and server. */
  async query(name: string, type: DnsType, signal: AbortSignal): Promise<DnsAnswer> {
    if (this.#running >= MAX_AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#running++
    try {
      return await this.#follow(name, type, signal)
    } finally {
      this.#running--
      this.#waiting.shift()?.()
    }
  }

  /** Goes along CNAMEs, also those whose end the server did not tell. */
  async #follow(name: string, type: DnsType, signal: AbortSignal): Promise<DnsAnswer> {
    let at = name
    let ttl: number | undefined
    for (let n = 0; n < MAX_CHAIN; n++) {
      const packet = await this.#ask(at, type, signal)
      const answers = packet.answers ?? []
      for (let alias = aliasOf(answers, at); alias !== undefined; alias = aliasOf(answers, at)) {
        if (++n >= MAX_CHAIN) break
        ttl = shorter(ttl, alias.ttl)
        at = alias.data
      }
      const records = answers.filter((one) => one.type === type && isSameName(one.name, at))
      for (const record of records) ttl = shorter(ttl, 'ttl' in record ? record.ttl : undefined)
      const isDangling = records.length === 0 && !isSameName(at, packet.questions?.[0]?.name ?? at)
      if (isDangling && rcodeOf(packet) === 'NOERROR' && !hasSoa(packet)) continue
      if (records.length === 0) ttl = shorter(ttl, negativeTtl(packet))
      return { records, additionals: packet.additionals ?? [], ttl }
    }
    throw new GatewayError('GW_REGISTRY_ANSWER', `${name} ${type}: more than ${MAX_CHAIN} aliases in a row`)
  }

  async #ask(name: string, type: DnsType, signal: AbortSignal): Promise<DecodedPacket> {
    const { servers, timeoutMs } = this.#options
    // Those of the machine change with its network.
    const places = servers.length > 0 ? servers : new Resolver().getServers()
    let last: unknown
    for (let round = 0; round < ROUNDS; round++) {
      for (const server of places) {
        if (signal.aborted) throw new GatewayError('GW_REGISTRY_TIMEOUT', `${name} ${type}: given up`)
        try {
          return await askServer(
            server,
            name,
            type,
            AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
          )
        } catch (thrown) {
          last = thrown
        }
      }
    }
    if (last instanceof GatewayError) throw last
    throw new GatewayError('GW_REGISTRY_UNREACHABLE', `${name} ${type}: there is no DNS server to ask`)
  }
}

/** `10.0.0.2:5353` and the like as host and port. */
function placeOf(server: string): { host: string; port: number } {
  const [, v6, host = v6 ?? '', port = '53'] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(server) ?? []
  // An IPv6 address without a port has no brackets.
  return host === '' ? { host: server, port: 53 } : { host, port: Number(port) }
}

/** One question to one server: over UDP, and over TCP what is too long for that. */
async function askServer(
  server: string,
  name: string,
  type: DnsType,
  signal: AbortSignal,
): Promise<DecodedPacket> {
  const question = {
    id: randomInt(65_536),
    type: 'query' as const,
    flags: RECURSION_DESIRED,
    questions: [{ name, type }],
    additionals: [
      {
        type: 'OPT' as const,
        name: '.',
        udpPayloadSize: UDP_SIZE,
        extendedRcode: 0,
        ednsVersion: 0,
        flags: 0,
        flag_do: false,
        options: [],
      },
    ],
  }
  const what = `${name} ${type} at ${server}`
  const isOurs = (packet: DecodedPacket) => {
    const [asked] = packet.questions ?? []
    return (
      packet.id === question.id &&
      packet.type === 'response' &&
      asked?.type === type &&
      isSameName(asked.name, name)
    )
  }
  try {
    const place = placeOf(server)
    let packet = await overUdp(place, encode(question), isOurs, signal)
    if (packet.flag_tc) packet = decode(await overTcp(place, streamEncode(question), signal))
    if (!isOurs(packet))
      throw new GatewayError('GW_REGISTRY_ANSWER', `${what}: the answer is to something else`)
    const rcode = rcodeOf(packet)
    if (rcode !== 'NOERROR' && rcode !== 'NXDOMAIN') {
      throw new GatewayError('GW_REGISTRY_ANSWER', `${what}: ${rcode}`)
    }
    if (isReferral(packet)) {
      throw new GatewayError(
        'GW_REGISTRY_ANSWER',
        `${what}: it refers to others: it is no resolver for this name`,
      )
    }
    return packet
  } catch (thrown) {
    if (thrown instanceof GatewayError) throw thrown
    if (signal.aborted) throw new GatewayError('GW_REGISTRY_TIMEOUT', `${what}: no answer in time`)
    throw new GatewayError('GW_REGISTRY_UNREACHABLE', `${what}: ${errorText(thrown)}`)
  }
}

/** Waits for the answer to the question; others may send what they like. */
function overUdp(
  { host, port }: { host: string; port: number },
  message: Buffer,
  isOurs: (packet: DecodedPacket) => boolean,
  signal: AbortSignal,
): Promise<DecodedPacket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4')
    const end = (settle: () => void) => {
      signal.removeEventListener('abort', onAbort)
      socket.removeAllListeners('message')
      socket.close()
      settle()
    }
    const onAbort = () => end(() => reject(signal.reason))
    signal.addEventListener('abort', onAbort, { once: true })
    socket.on('error', (error) => end(() => reject(error)))
    socket.on('message', (data) => {
      let packet: DecodedPacket
      try {
        packet = decode(data)
      } catch {
        return
      }
      if (isOurs(packet)) end(() => resolve(packet))
    })
    // Connected: only the server is heard, and a refusal is an error.
    socket.connect(port, host, () => socket.send(message))
  })
}

function overTcp(
  { host, port }: { host: string; port: number },
  message: Buffer,
  signal: AbortSignal,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, signal })
    let received = Buffer.alloc(0)
    socket.on('error', reject)
    socket.on('connect', () => socket.write(message))
    socket.on('end', () => reject(new GatewayError('GW_REGISTRY_ANSWER', `${host}: the answer ended early`)))
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return
      socket.destroy()
      resolve(received.subarray(2))
    })
  })
}

const normal = (name: string) => name.toLowerCase().replace(/\.$/, '')

/** Names of DNS: case and a dot at the end mean nothing. */
export const isSameName = (a: string, b: string): boolean => normal(a) === normal(b)

function aliasOf(
  answers: readonly Answer[],
  name: string,
): { data: string; ttl: number | undefined } | undefined {
  for (const one of answers) {
    if (one.type === 'CNAME' && isSameName(one.name, name)) return { data: one.data, ttl: one.ttl }
  }
  return undefined
}

const shorter = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.min(a, b)

/** The types of the package do not have it. */
const rcodeOf = (packet: DecodedPacket): string => (packet as unknown as { rcode: string }).rcode

const hasSoa = (packet: DecodedPacket): boolean =>
  (packet.authorities ?? []).some(({ type }) => type === 'SOA')

/** Nothing, and the names of servers that know more: an empty answer that means nothing. */
function isReferral(packet: DecodedPacket): boolean {
  if ((packet.answers ?? []).length > 0 || rcodeOf(packet) === 'NXDOMAIN' || hasSoa(packet)) return false
  return (packet.authorities ?? []).some(({ type }) => type === 'NS')
}

/** RFC 2308: the lesser of the SOA's TTL and its minimum. */
function negativeTtl(packet: DecodedPacket): number | undefined {
  for (const one of packet.authorities ?? []) {
    if (one.type === 'SOA') return shorter(one.ttl, one.data.minimum)
  }
  return undefined
}
