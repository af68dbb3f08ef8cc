import { z } from 'zod'
import { admin } from './admin.ts'
import { canaryShape } from './canaries.ts'
import { canarySettings, checkReleaseStore } from './canary-store.ts'
import { clientAuth } from './client-auth.ts'
import { checkConfigurationStore, configurationSettings } from './configuration.ts'
import { dnsRegistry } from './dns-registry.ts'
import { etcdRegistry } from './etcd.ts'
import { checkFleetStore, fleetSettings } from './fleet.ts'
import { httpRegistry } from './http-registry.ts'
import { identityProvider } from './identity.ts'
import { monitor } from './monitor.ts'
import { nacosRegistry } from './nacos-registry.ts'
import { overload } from './overload.ts'
import { defaults, service } from './policy.ts'
import { recorder } from './recorder.ts'
import { serviceName } from './registry-common.ts'
import { filterDefinition, route } from './routes.ts'
import { checkSelf, self } from './self.ts'
import { stores } from './stores.ts'
import { duration, hostPattern, listenAddress, mediaTypePattern, name, network, size } from './values.ts'
import { waf } from './waf.ts'
import { zooKeeperRegistry } from './zookeeper.ts'

/** The one source of the configuration's types, checks, JSON schema and reference page. */

const tlsFiles = z.strictObject({
  cert: z.string().describe('PEM file: certificate and chain.'),
  key: z.string().describe('PEM file: its key.'),
})

const listen = z
  .strictObject({
    http: z
      .strictObject({ address: listenAddress().default('127.0.0.1:8080') })
      .optional()
      .describe('Clients in clear.'),
    https: z
      .strictObject({
        address: listenAddress().default('127.0.0.1:8443'),
        certificates: z
          .array(tlsFiles)
          .min(1)
          .describe('Chosen by the name the client asks for; read again when the files change.'),
        clientAuth: clientAuth
          .optional()
          .describe('Ask clients for a certificate; the filter mtls and others then know who they are.'),
        http2: z.boolean().default(true).describe('Offer HTTP/2. Default true.'),
        minVersion: z
          .enum(['TLSv1.2', 'TLSv1.3'])
          .default('TLSv1.2')
          .describe('Oldest TLS. Default TLSv1.2.'),
      })
      .optional()
      .describe('Clients over TLS.'),
  })
  .default({ http: { address: '127.0.0.1:8080' } })
  .describe('Where clients come in.')

const limits = z
  .strictObject({
    headerBytes: size().default(16384).describe('All request headers together (431). Default 16KiB.'),
    headerCount: z
      .int()
      .min(1)
      .max(2000)
      .default(100)
      .describe('Number of request headers (431). Default 100.'),
    urlBytes: size().default(8192).describe('Request target (414). Default 8KiB.'),
    bodyBytes: size().default(104857600).describe('Request body (413). 0 = no limit. Default 100MiB.'),
    contentTypes: z
      .array(mediaTypePattern())
      .default([])
      .describe(
        'Media types of request bodies (415): application/json, text/*, application/*+json. Default: none = all.',
      ),
    headersTimeout: duration()
      .default(15000)
      .describe('Until a request’s headers are there (408). Default 15s.'),
    requestTimeout: duration()
      .default(0)
      .describe('Until a whole request is there. 0 = no limit. Default 0.'),
    idleTimeout: duration()
      .default(60000)
      .describe('Silence of a client while its body arrives (408). 0 = no limit. Default 60s.'),
    keepAliveTimeout: duration()
      .default(75000)
      .describe(
        'An idle client connection is closed after this; keep it above that of a load balancer in front. Default 75s.',
      ),
    connections: z
      .int()
      .min(0)
      .default(0)
      .describe('Client connections of a listener. 0 = no limit. Default 0.'),
  })
  .prefault({})
  .describe('Limits on what clients send.')

const consul = z.strictObject({
  type: z.literal('consul'),
  url: z.url().optional().describe('An agent. Default: CONSUL_HTTP_ADDR, else http://127.0.0.1:8500.'),
  token: z.string().optional().describe('ACL token. Default: CONSUL_HTTP_TOKEN.'),
  tokenFile: z
    .string()
    .optional()
    .describe('File with the ACL token, read again when it changes. Default: CONSUL_HTTP_TOKEN_FILE.'),
  datacentres: z.array(z.string().min(1)).default([]).describe('Default: the agent’s own.'),
  mode: z
    .enum(['watch', 'poll'])
    .default('watch')
    .describe('watch = blocking queries; poll = ask each pollInterval. Default watch.'),
  pollInterval: duration().default(5000).describe('For poll. Default 5s.'),
  wait: duration().default(55000).describe('How long a blocking query waits. Default 55s.'),
  maxWatches: z
    .int()
    .min(1)
    .max(150)
    .default(64)
    .describe(
      'Above this number of services one watch on all checks takes the place of one a service: Consul allows 200 connections a client. Default 64.',
    ),
  include: z
    .array(z.string())
    .default([])
    .describe('Service names to read, * stands for any text. Default: all.'),
  exclude: z.array(z.string()).default([]).describe('Service names to leave out. Default: none.'),
  serviceName,
  taggedAddress: z
    .string()
    .optional()
    .describe('Use this tagged address (lan, wan …) where an instance has it.'),
  forbidAddresses: z
    .array(network())
    .default([])
    .describe(
      'Instances there are dropped: who can write the registry must not aim the gateway at, say, 169.254.0.0/16. Default: none.',
    ),
  tls: z
    .strictObject({ ca: z.string(), cert: z.string(), key: z.string(), verify: z.boolean() })
    .partial()
    .optional()
    .describe('PEM files for an https agent.'),
})

const registry = z.discriminatedUnion('type', [
  consul,
  etcdRegistry,
  zooKeeperRegistry,
  httpRegistry,
  dnsRegistry,
  nacosRegistry,
  z.strictObject({
    type: z.literal('file'),
    path: z.string().describe('A file, or a folder of files; see docs/registries.md.'),
    serviceName,
  }),
  z
    .strictObject({ type: z.literal('embedded'), serviceName })
    .describe('Services register with the admin side, in Consul’s own protocol.'),
])

const staticShape = {
  version: z.literal(1, { error: 'must be 1' }).describe('Version of this format: 1.'),
  listen,
  admin,
  zone: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Zone of this gateway, for services with zone: prefer or strict; instances have theirs in metadata (zone). Default: none.',
    ),
  trustedProxies: z
    .array(network())
    .default([])
    .describe('Peers whose X-Forwarded-* and Forwarded are believed. Default: none.'),
  limits,
  drain: z
    .strictObject({
      acceptGrace: duration()
        .default(3000)
        .describe('Go on accepting after SIGTERM, because load balancers still send. Default 3s.'),
      timeout: duration().default(20000).describe('Then let requests finish for at most this. Default 20s.'),
    })
    .prefault({})
    .describe('The gateway’s own shutdown.'),
  log: z
    .strictObject({
      level: z
        .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal'])
        .default('info')
        .describe('Default info.'),
      access: z
        .strictObject({
          enabled: z.boolean().default(true).describe('One line a request. Default true.'),
          query: z.boolean().default(false).describe('With the query. Default false: it may hold secrets.'),
          sample: z
            .number()
            .min(0)
            .max(1)
            .default(1)
            .describe('Share of the good answers that is logged; others always are. Default 1.'),
        })
        .prefault({})
        .describe('Access log.'),
    })
    .prefault({})
    .describe('Logs on standard output, JSON lines.'),
  metrics: z
    .strictObject({
      maxSeries: z
        .int()
        .min(100)
        .default(2000)
        .describe(
          'Series of one metric; what is beyond counts under "_other". Of histograms 15 % as many routes have their own. Default 2000.',
        ),
    })
    .prefault({})
    .describe('Prometheus metrics.'),
  overload,
  waf,
  recorder,
  registries: z.record(name(), registry).default({}).describe('Where instances come from.'),
  stores,
  identityProviders: z
    .record(name(), identityProvider)
    .default({})
    .describe('Who says whose a token is; used by filters. See docs/identity.md.'),
  guard: z
    .strictObject({
      maxLossRatio: z
        .number()
        .min(0)
        .max(1)
        .default(0.5)
        .describe(
          'More than this share of all instances gone at once is not believed at once. 1 = always believe. Default 0.5.',
        ),
      minLost: z.int().min(1).default(2).describe('Fewer lost instances are believed. Default 2.'),
      lossWindow: duration().default(5000).describe('"At once" means: within this. Default 5s.'),
      holdFor: duration()
        .default(30000)
        .describe('How long lost instances are kept, last in line. Default 30s.'),
      maxStaleness: duration()
        .default(0)
        .describe('Drop what a failing registry said this long ago. 0 = never. Default 0.'),
      maxChangedPercent: z
        .number()
        .min(0)
        .max(100)
        .optional()
        .describe(
          'A change of the configuration that moves or refuses more than this share of the remembered requests (50 at least) is rejected; `sluice reload --force` takes it all the same. Default: no limit.',
        ),
    })
    .prefault({})
    .describe('Guards against a registry, or an operator, that errs.'),
  monitor,
  canary: canarySettings,
  configuration: configurationSettings,
  fleet: fleetSettings,
  snapshot: z
    .strictObject({
      path: z.string().describe('File with the last known instances, for a start without the registry.'),
      interval: duration().default(5000).describe('Written at most this often. Default 5s.'),
    })
    .optional()
    .describe('Default: none.'),
  declaredRoutes: z
    .strictObject({
      enabled: z
        .boolean()
        .default(false)
        .describe('Services may declare routes by tags and metadata. Default false.'),
      tagPrefix: z.string().min(1).default('sluice.').describe('Default sluice.'),
      metaPrefix: z.string().min(1).default('gw_').describe('Default gw_'),
      fabio: z.boolean().default(false).describe('Also read fabio’s urlprefix- tags. Default false.'),
      hosts: z.array(hostPattern()).default([]).describe('Hosts that may be declared. Default: any.'),
    })
    .prefault({})
    .describe('Routes that services declare themselves.'),
  self,
}

/** Keys that may also stand in routes.d. */
const sharedShape = {
  services: z
    .record(name(), service)
    .default({})
    .describe('How to talk to each service. A service that needs no settings may be left out.'),
  filters: z.record(name(), filterDefinition).default({}).describe('Filters by name, for several routes.'),
  routes: z.array(route).default([]).describe('Routes; their order does not matter.'),
}

const dynamicShape = {
  hostFallback: z
    .boolean()
    .default(false)
    .describe(
      'When the most specific host has no matching route, try the less specific ones. Default false.',
    ),
  mergeSlashes: z.boolean().default(true).describe('//a is the same path as /a. Default true.'),
  defaults: defaults.default({}).describe('For every service.'),
  ...sharedShape,
  ...canaryShape,
}

/** sluice.yaml */
export const mainFile = z
  .strictObject({ ...staticShape, ...dynamicShape })
  .superRefine(checkReleaseStore)
  .superRefine(checkFleetStore)
  .superRefine(checkConfigurationStore)
  .superRefine(checkSelf)

/** routes.d/*.yaml */
export const routesFile = z.strictObject(sharedShape)

export type MainFile = z.output<typeof mainFile>
export type RoutesFile = z.output<typeof routesFile>
export type RegistryConfig = MainFile['registries'][string]

/** What needs a restart: everything but routes, services, filters and canary rules. Durations in ms, sizes in bytes. */
export type StaticConfig = Omit<MainFile, keyof typeof dynamicShape | 'version'>
