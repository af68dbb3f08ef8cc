import { z } from 'zod'
import { duration, name } from './values.ts'

const node = () =>
  z.string().superRefine((value, ctx) => {
    if (/^(\[[^\]]+\]|[^:\s/@]+):\d{1,5}$/.test(value)) return
    ctx.addIssue({
      code: 'custom',
      message: `"${value}" is no node`,
      params: { fix: 'write host:port, e.g. 10.0.0.1:6379 or [::1]:6379' },
    })
  })

const redisUrl = () =>
  z.string().superRefine((value, ctx) => {
    const url = URL.parse(value)
    const isGood =
      url !== null &&
      (url.protocol === 'redis:' || url.protocol === 'rediss:') &&
      url.hostname !== '' &&
      /^(?:|\/|\/\d{1,3})$/.test(url.pathname) &&
      url.search === ''
    if (isGood) return
    // The value itself may hold a password.
    ctx.addIssue({
      code: 'custom',
      message: 'this is no URL of a Redis',
      params: { fix: 'write redis://host:port or rediss://host:port (TLS), /N for a database' },
    })
  })

const redis = z
  .strictObject({
    type: z.literal('redis'),
    url: redisUrl()
      .optional()
      .describe('One Redis: redis://host:port, or rediss:// for TLS; /N for a database.'),
    sentinels: z
      .strictObject({
        name: z.string().min(1).describe('Name of the master group.'),
        nodes: z.array(node()).min(1).describe('Sentinels: host:port.'),
        username: z.string().optional().describe('For the sentinels themselves. Default: none.'),
        password: z.string().optional().describe('For the sentinels themselves. Default: none.'),
      })
      .optional()
      .describe('A Redis whose master the sentinels know.'),
    cluster: z
      .array(node())
      .min(1)
      .optional()
      .describe('A Redis cluster: some of its nodes, host:port. The others are found.'),
    username: z.string().optional().describe('ACL user. Default: none.'),
    password: z.string().optional().describe('Take it from ${ENV:…} or ${FILE:…}. Default: none.'),
    tls: z
      .strictObject({
        ca: z.string().optional().describe('PEM file: authority of the server. Default: those of Node.'),
        cert: z.string().optional().describe('PEM file of the gateway’s own certificate.'),
        key: z.string().optional().describe('PEM file: its key.'),
        serverName: z.string().optional().describe('Name in the certificate. Default: the host.'),
        verify: z.boolean().default(true).describe('Check the certificate. Default true.'),
      })
      .optional()
      .describe('TLS also where no rediss:// says so (sentinels, cluster). Default: none.'),
    database: z.int().min(0).max(999).optional().describe('Number of the database. Not for a cluster.'),
    keyPrefix: z
      .string()
      .max(64)
      .regex(/^[^{}\s]*$/)
      .default('sluice:')
      .describe(
        'Before every key. No braces: a hash tag here would put all keys of a cluster on one node. Default sluice:',
      ),
    commandTimeout: duration()
      .default(20)
      .describe('A command without an answer after this has failed. Default 20ms.'),
    connectTimeout: duration()
      .default(500)
      .describe('Until a connection is ready, TLS and login included. Default 500ms.'),
    breaker: z
      .strictObject({
        failures: z.int().min(1).max(1000).default(5).describe('So many in a row open it. Default 5.'),
        probeInterval: duration()
          .default(1000)
          .describe('While open, one probe in this time; nothing else is sent. Default 1s.'),
      })
      .prefault({})
      .describe('A store that fails is left alone: calls fail at once, so requests do not wait for it.'),
  })
  .superRefine((value, ctx) => {
    const given = (['url', 'sentinels', 'cluster'] as const).filter((key) => value[key] !== undefined)
    const add = (message: string, fix: string, path: string[] = []) =>
      ctx.addIssue({ code: 'custom', message, path, params: { fix } })
    if (given.length !== 1) {
      const found = given.length === 0 ? 'none of them is there' : `${given.join(' and ')} are there`
      add(`a store has one of url, sentinels, cluster; ${found}`, 'keep one of them')
    }
    if (value.cluster !== undefined && value.database !== undefined) {
      add('a cluster has only database 0', 'leave database out', ['database'])
    }
    for (const key of ['commandTimeout', 'connectTimeout'] as const) {
      if (value[key] === 0) add(`${key} cannot be 0`, 'requests would wait without end: write 20ms', [key])
    }
    if (value.breaker.probeInterval < 100) {
      add('probeInterval is too short', 'write 100ms or more', ['breaker', 'probeInterval'])
    }
  })

/** `stores`: what gateways share counters in. */
export const stores = z
  .record(name(), z.discriminatedUnion('type', [redis]))
  .default({})
  .describe('What gateways share counters in: Redis. See docs/flow-control.md.')

export type StoreConfig = z.output<typeof stores>[string]

/** Its PEM files seen from the folder of the configuration. */
export function absoluteStore(store: StoreConfig, base: (path: string) => string): StoreConfig {
  const { tls } = store
  if (tls === undefined) return store
  const files = Object.fromEntries(
    (['ca', 'cert', 'key'] as const).flatMap((key) =>
      tls[key] === undefined ? [] : [[key, base(tls[key])]],
    ),
  )
  return { ...store, tls: { ...tls, ...files } }
}
