import { isIP, isIPv6 } from 'node:net'
import { z } from 'zod'
import { registryRules, serviceName } from './registry-common.ts'
import { duration, name } from './values.ts'

const server = () =>
  z.string().superRefine((value, ctx) => {
    const [, v6, v4 = v6, port = '53'] = /^(?:\[([^\]]+)\]|([\d.]+))(?::(\d{1,5}))?$/.exec(value) ?? []
    const isPlace = v4 !== undefined && isIP(v4) !== 0 && Number(port) > 0 && Number(port) <= 65_535
    if (isPlace || isIPv6(value)) return
    ctx.addIssue({
      code: 'custom',
      message: `"${value}" is no address of a DNS server`,
      params: { fix: 'write 10.0.0.2, 10.0.0.2:5353 or [2001:db8::1]:53' },
    })
  })

const dnsService = z
  .strictObject({
    name: z
      .string()
      .regex(/^(?=.{1,254}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?$/i, {
        error: 'write a whole name, e.g. cart.internal or _http._tcp.cart.internal',
      })
      .describe('The whole name: search domains are not used.'),
    type: z
      .enum(['a', 'aaaa', 'srv'])
      .default('a')
      .describe('Records to ask for. srv has ports, weights and priorities of its own. Default a.'),
    port: z.int().min(1).max(65_535).optional().describe('For a and aaaa, which have none.'),
    scheme: z.enum(['http', 'https', 'h2c']).default('http').describe('Default http.'),
    version: z.string().min(1).optional().describe('Of all instances behind this name. Default: none.'),
    zone: z.string().min(1).optional().describe('Of all instances behind this name. Default: none.'),
  })
  .superRefine(({ type, port }, ctx) => {
    if ((type === 'srv') === (port === undefined)) return
    const message = type === 'srv' ? 'means nothing for srv' : `is missing: ${type} records have none`
    const fix =
      type === 'srv' ? 'delete it: the records have ports' : 'give the port that the instances listen on'
    ctx.addIssue({ code: 'custom', message, path: ['port'], params: { fix } })
  })

/** A registry of type dns. */
export const dnsRegistry = z
  .strictObject({
    type: z.literal('dns'),
    services: z.record(name(), dnsService).describe('Names of DNS by service.'),
    servers: z
      .array(server())
      .default([])
      .describe(
        'Resolvers, asked one after another: 10.0.0.2 or 10.0.0.2:5353. Default: those of the machine.',
      ),
    minTtl: duration()
      .default(5000)
      .describe('A name is asked again no sooner, whatever its TTL. Default 5s.'),
    maxTtl: duration()
      .default(300_000)
      .describe('A name is asked again at the latest after this. Default 5m.'),
    timeout: duration()
      .default(2000)
      .describe('For one answer of one server; each is asked twice. Default 2s.'),
    forbidAddresses: registryRules.forbidAddresses,
    serviceName,
  })
  .superRefine(({ minTtl, maxTtl, timeout }, ctx) => {
    const refuse = (path: string, message: string, fix: string) =>
      ctx.addIssue({ code: 'custom', message, path: [path], params: { fix } })
    if (minTtl < 500)
      refuse('minTtl', 'is too short: each is a question', 'write 500ms or more; 5s is the default')
    if (maxTtl < minTtl) refuse('maxTtl', 'is less than minTtl', 'write more than minTtl; 5m is the default')
    if (timeout < 1)
      refuse('timeout', 'must not be 0', 'write how long an answer may take; 2s is the default')
  })
