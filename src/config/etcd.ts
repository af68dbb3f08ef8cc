import { z } from 'zod'
import { errorText } from '../core/errors.ts'
import { compileReader } from '../core/json-path.ts'
import { serviceName } from './registry-common.ts'
import { duration, network } from './values.ts'

const endpoint = () =>
  z.string().superRefine((value, ctx) => {
    const url = URL.parse(value)
    const isUrl = url !== null && /^https?:$/.test(url.protocol) && url.hostname !== '' && url.search === ''
    if (isUrl && url.username === '' && url.password === '') return
    ctx.addIssue({
      code: 'custom',
      // The value itself may hold a password.
      message: isUrl ? 'a user does not belong here' : 'this is no client URL of an etcd member',
      params: { fix: 'write http://10.0.0.1:2379 or https://…; the user goes to username and password' },
    })
  })

/** A path into the value (`$.host`), or a text that is taken as it is. */
const source = () =>
  z.string().superRefine((value, ctx) => {
    if (!value.startsWith('$')) return
    try {
      compileReader(value)
    } catch (thrown) {
      ctx.addIssue({
        code: 'custom',
        message: errorText(thrown),
        params: { fix: 'write a path to one value, e.g. $.host or $.endpoints[0]' },
      })
    }
  })

const template = z
  .strictObject({
    key: z
      .string()
      .min(1)
      .describe(
        'The keys: /apps/{service}/{id}. Each stands for one step; what is before the first is read whole.',
      ),
    url: source().optional().describe('Path to http://address:port in the value: $.endpoints[0].'),
    address: source()
      .optional()
      .describe('Path to the address, with its port unless port is given. $ = the whole value.'),
    port: source().optional().describe('Path to the port: $.port. Default: it is in the address.'),
    scheme: source().optional().describe('Path, or http, https, h2c. Default: that of the URL, else http.'),
    service: source().optional().describe('Path to the name, where the key has none.'),
    version: source().optional().describe('Path. Default: none.'),
    zone: source().optional().describe('Path. Default: none.'),
    weight: source().optional().describe('Path to a number. Default: 1 for all.'),
    state: source()
      .optional()
      .describe(
        'Path to passing, warning, critical, maintenance or draining. Default: passing while its lease lives.',
      ),
    tags: source().optional().describe('Path to a list of texts. Default: none.'),
    meta: source().optional().describe('Path to an object of texts. Default: none.'),
  })
  .superRefine((value, ctx) => {
    const refuse = (path: string, message: string, fix: string) =>
      ctx.addIssue({ code: 'custom', message, path: [path], params: { fix } })
    const names = [...value.key.matchAll(/\{([^}]*)\}/g)].map(([, name]) => name)
    const unknown = names.find((name) => name !== 'service' && name !== 'id')
    if (unknown !== undefined) {
      refuse(
        'key',
        `{${unknown}} means nothing here`,
        'use {service} and {id}, and constant text around them',
      )
    }
    if (new Set(names).size !== names.length) {
      refuse('key', 'a name stands twice in it', 'use {service} and {id} once each')
    }
    if (/^\{|\}\{/.test(value.key)) {
      refuse('key', 'a {…} needs constant text before it', 'write e.g. /apps/{service}/{id}')
    }
    if (!names.includes('service') && value.service === undefined) {
      refuse(
        'key',
        'it says nowhere which service it is',
        'put {service} into the key, or give service: $.name',
      )
    }
    if (value.url === undefined && value.address === undefined) {
      refuse('address', 'is missing', 'give address: $.host (and port: $.port), or url: $.url')
    }
    if (value.url !== undefined && (value.address !== undefined || value.port !== undefined)) {
      refuse('url', 'is given beside address or port', 'give one of them')
    }
  })
  .describe('How somebody else writes instances.')

/** A registry of type etcd. */
export const etcdRegistry = z
  .strictObject({
    type: z.literal('etcd'),
    endpoints: z
      .array(endpoint())
      .min(1)
      .optional()
      .describe('Client URLs of members. Default: ETCDCTL_ENDPOINTS, else http://127.0.0.1:2379.'),
    prefix: z
      .string()
      .min(1)
      .optional()
      .describe('Keys of the layout. Default: /sluice, for go-micro /micro/registry. Not with a template.'),
    layout: z
      .union([z.enum(['sluice', 'go-micro']), template])
      .default('sluice')
      .describe(
        'How instances are written: sluice, go-micro, or a template. See docs/registries.md. Default sluice.',
      ),
    username: z.string().min(1).optional().describe('Default: ETCDCTL_USER, else none.'),
    password: z
      .string()
      .optional()
      .describe(
        'Take it from ${ENV:…} or ${FILE:…}. Default: ETCDCTL_PASSWORD, or behind a colon in ETCDCTL_USER.',
      ),
    passwordFile: z
      .string()
      .optional()
      .describe('File with the password, read again at each login. Wins over password. Default: none.'),
    tls: z
      .strictObject({ ca: z.string(), cert: z.string(), key: z.string(), verify: z.boolean() })
      .partial()
      .optional()
      .describe(
        'PEM files for https members: their authority, and the gateway’s own certificate and key. Default: ETCDCTL_CACERT, _CERT and _KEY.',
      ),
    probeInterval: duration()
      .default(10_000)
      .describe('How often a small read checks that the watch still tells everything. Default 10s.'),
    include: z
      .array(z.string())
      .default([])
      .describe('Service names to take, * stands for any text. Default: all.'),
    serviceName,
    exclude: z.array(z.string()).default([]).describe('Service names to leave out. Default: none.'),
    forbidAddresses: z
      .array(network())
      .default([])
      .describe('Instances there are left out, as for consul. Default: none.'),
  })
  .superRefine((value, ctx) => {
    const refuse = (path: string, message: string, fix: string) =>
      ctx.addIssue({ code: 'custom', message, path: [path], params: { fix } })
    if (typeof value.layout === 'object' && value.prefix !== undefined) {
      refuse('prefix', 'means nothing beside a template', 'put it into layout.key')
    }
    if (value.username === undefined && (value.password !== undefined || value.passwordFile !== undefined)) {
      refuse('username', 'is missing beside a password', 'give the user that the password is of')
    }
    if (value.probeInterval < 500) {
      refuse('probeInterval', 'is too short: each is a read', 'write 500ms or more; 10s is the default')
    }
    const isPlain = value.endpoints?.some((url) => url.startsWith('http:')) === true
    if (value.tls !== undefined && isPlain) {
      refuse(
        'endpoints',
        'tls is given, but a member is spoken to in clear',
        'write https:// for all of them',
      )
    }
  })
