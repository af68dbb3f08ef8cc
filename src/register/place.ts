import { createSocket } from 'node:dgram'
import { isIP, isIPv6 } from 'node:net'
import { GatewayError } from '../core/errors.ts'

/** What a listening server says of itself; `address()` of `node:net`. */
export interface BoundAddress {
  readonly address: string
  readonly port: number
}

/** 127.0.0.0/8, ::1, `localhost`. */
export function isLoopback(host: string): boolean {
  const plain = host.replace(/^\[|\]$/g, '').toLowerCase()
  return plain === 'localhost' || plain === '::1' || /^(?:::ffff:)?127\./.test(plain)
}

function isAnywhere(address: string): boolean {
  return address === '0.0.0.0' || address === '::' || address === ''
}

/**
 * The address that is registered. `given` (option or environment) wins; then the one that the server is bound to; then
 * the address of the interface on the way to the agent. With an agent on loopback and a server bound to everything the
 * result is empty: Consul then uses the address of the node. Throws GW_REGISTER_OPTIONS for a loopback address that
 * nobody else could reach.
 */
export async function findAddress(
  given: string | undefined,
  bound: BoundAddress | undefined,
  agentUrl: string,
): Promise<string> {
  const agent = new URL(agentUrl)
  const isLocalAgent = agent.protocol === 'unix:' || isLoopback(agent.hostname)
  const address = (given ?? (await ownAddress(bound, agent, isLocalAgent))).replace(/^\[|\]$/g, '')
  if (isAnywhere(address)) {
    if (given === undefined && isLocalAgent) return ''
    throw new GatewayError('GW_REGISTER_OPTIONS', `address: "${address}" is none that clients could use`)
  }
  if (isLoopback(address) && !isLocalAgent) {
    throw new GatewayError(
      'GW_REGISTER_OPTIONS',
      `address: ${address} is reached from this machine alone, but the agent is ${agentUrl}: ` +
        'listen on another address, or set HOST_IP or SLUICE_REGISTER_ADDRESS',
    )
  }
  return address
}

async function ownAddress(
  bound: BoundAddress | undefined,
  agent: URL,
  isLocalAgent: boolean,
): Promise<string> {
  if (bound !== undefined && !isAnywhere(bound.address)) return bound.address
  return isLocalAgent ? '' : addressTowards(agent)
}

/** Connecting a UDP socket sends nothing, but chooses the interface. */
async function addressTowards(agent: URL): Promise<string> {
  const host = agent.hostname.replace(/^\[|\]$/g, '')
  const socket = createSocket(isIP(host) !== 0 && isIPv6(host) ? 'udp6' : 'udp4')
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.connect(Number(agent.port) || 80, host, () => resolve())
    })
    return socket.address().address
  } catch (cause) {
    throw new GatewayError('GW_REGISTER_OPTIONS', `address: no way to ${agent.host} from here; set HOST_IP`, {
      cause,
    })
  } finally {
    socket.close()
  }
}
