import { z } from 'zod'
import { healthShape } from './health.ts'
import { mirror } from './mirror.ts'
import { duration, name, size, upstreamUrl } from './values.ts'

/** Everything about talking to a service, as people write it; `defaults` and each service use the same keys. */

export const timeouts = z
  .strictObject({
    connect: duration().describe('TCP and TLS to the instance. Default 1s.'),
    headers: duration().describe('From the request sent to the answer’s headers. 0 = no limit. Default 15s.'),
    idle: duration().describe(
      'Silence while a body streams, either way. 0 = no limit (server-sent events). Default 60s.',
    ),
    total: duration().describe('The whole exchange with all its tries. 0 = no limit. Default 60s.'),
    perTry: duration().describe('One try. 0 = only the other limits. Default 0.'),
  })
  .partial()

export const retries = z
  .strictObject({
    attempts: z
      .int()
      .min(0)
      .max(10)
      .describe('Further tries after the first, on other instances. 0 = none. Default 2.'),
    on: z
      .array(z.enum(['connect-failure', 'reset', 'timeout', 'gateway-error', '5xx']))
      .describe(
        'What is tried again. connect-failure (nothing was sent): any method. The others: idempotent methods with a body that can be sent again. gateway-error: 502, 503, 504. Default [connect-failure, reset].',
      ),
    statuses: z
      .array(z.int().min(400).max(599))
      .describe('Further statuses to try again, idempotent methods only. Default none.'),
    idempotencyKey: z
      .boolean()
      .describe('A request with Idempotency-Key counts as idempotent. Default false.'),
    replayBytes: size().describe('Bodies up to this size can be sent again. Default 64KiB.'),
  })
  .partial()

export const balance = z.union([
  z.enum(['least-request', 'round-robin']),
  z.strictObject({
    hash: z
      .array(
        z.string().regex(/^(?:header:[a-z0-9-]+|cookie:[^\s;=]+|query:\S+|path|client-ip)$/, {
          error: 'write header:NAME (lower case), cookie:NAME, query:NAME, path or client-ip',
        }),
      )
      .min(1)
      .describe(
        'The same value goes to the same instance. The first one present wins; client-ip is always the last resort.',
      ),
  }),
])

const tls = z
  .strictObject({
    verify: z.boolean().describe('Check the certificate. Default true.'),
    ca: z.string().describe('PEM file of the authority to trust instead of the system’s.'),
    cert: z.string().describe('PEM file of the gateway’s own certificate, for mutual TLS.'),
    key: z.string().describe('PEM file of its key.'),
    serverName: z
      .string()
      .describe(
        'SNI, and the name to check. Default: the instance’s host name, or the route’s host when it is an address.',
      ),
  })
  .partial()

const policyShape = {
  timeouts: timeouts.describe('Time limits.'),
  retries: retries.describe('What is tried again, and how often.'),
  balance: balance.describe(
    'least-request: the better of two drawn at random. round-robin. { hash: [header:x-user] }: consistent hashing. Default least-request.',
  ),
  slowStart: duration().describe('Time a new instance takes to its full share. 0 = at once. Default 0.'),
  scheme: z.enum(['http', 'https']).describe('For instances that declare none. Default http.'),
  tls: tls.describe('TLS to the instances.'),
  maxConnections: z.int().min(1).max(65535).describe('Sockets to one instance. Default 256.'),
  maxPending: z
    .int()
    .min(0)
    .describe('Requests waiting for a socket of one instance before it counts as full (503). Default 1024.'),
  keepAlive: duration().describe(
    'An idle socket to an instance is closed after this; keep it below the instance’s own limit. Default 4s.',
  ),
  streamDrain: duration().describe(
    'WebSockets and other upgrades of an instance that goes away (draining, maintenance, vanished) stay this long, then clients get close code 1001. Long answers may take as long, others 30s at least. 0 = at once. Default 5m.',
  ),
  registryMode: z
    .enum(['merge', 'failover'])
    .describe(
      'The same service in several registries. merge: one service of all their instances. failover: only those of the first registry, in the order of registry, that has a usable instance; the others stand by. Default merge.',
    ),
  registryReturn: duration().describe(
    'With failover: an earlier registry must have had usable instances for this long before it is used again. Default 30s.',
  ),
  ...healthShape,
}

/** The key `defaults`. */
export const defaults = z.strictObject(policyShape).partial()

/** One entry of `services`. */
export const service = z
  .strictObject({
    ...policyShape,
    registry: z
      .union([name(), z.array(name()).min(1)])
      .describe(
        'Registries to look in; for failover the best first. Default: all, in the order of registries.',
      ),
    name: z.string().min(1).describe('Its name in the registry. Default: the key.'),
    upstreams: z.array(upstreamUrl()).min(1).describe('Fixed addresses; no registry is asked.'),
    mirror: mirror.describe('Send copies of its requests to another service or version. Default: no.'),
  })
  .partial()

export type DefaultsInput = z.output<typeof defaults>
export type ServiceInput = z.output<typeof service>
