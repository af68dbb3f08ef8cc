import { z } from 'zod'
import { serviceName } from './registry-common.ts'
import { duration, network } from './values.ts'

const SERVER = /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+)(?::(\d{1,5}))?$/
const PATH = /^\/$|^(?:\/(?!\.{1,2}(?:\/|$))[^/\s\u0000-\u001f]+)+$/

const server = () =>
  z.string().superRefine((value, ctx) => {
    const [whole, port] = SERVER.exec(value) ?? []
    const number = port === undefined ? 1 : Number(port)
    if (whole !== undefined && number > 0 && number <= 65_535) return
    ctx.addIssue({
      code: 'custom',
      message: `"${value}" is no server of ZooKeeper`,
      params: {
        fix: 'write one host:port in each line, e.g. 10.0.0.1:2181; a path behind it goes to base',
      },
    })
  })

/** A registry of type zookeeper. */
export const zooKeeperRegistry = z
  .strictObject({
    type: z.literal('zookeeper'),
    servers: z
      .array(server())
      .min(1)
      .default(['127.0.0.1:2181'])
      .describe('host:port of the servers of one ensemble. Default: 127.0.0.1:2181.'),
    layout: z
      .enum(['curator', 'dubbo', 'dubbo-application'])
      .default('curator')
      .describe(
        'How instances are written: curator (Spring Cloud, too), dubbo (interfaces) or dubbo-application (Dubbo 3). Default curator.',
      ),
    base: z.string().optional().describe('Node above the services. Default: /services, for dubbo /dubbo.'),
    auth: z
      .string()
      .optional()
      .describe(
        'user:password for ACLs of the scheme digest; take it from ${ENV:…} or ${FILE:…}. Default: none.',
      ),
    sessionTimeout: duration()
      .default(15_000)
      .describe(
        'A server that says nothing for two thirds of it is left for another. Servers have limits of their own (2 to 20 ticks). Default 15s.',
      ),
    sweepInterval: duration()
      .default(60_000)
      .describe(
        'How often everything is read although no watch fired: a right that is taken away shows in no watch. Default 60s.',
      ),
    protocols: z
      .array(z.enum(['tri', 'rest', 'grpc', 'http']))
      .min(1)
      .default(['tri', 'rest'])
      .describe('Dubbo’s protocols that are used, the first that a provider has. Default tri, rest.'),
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
    tls: z
      .strictObject({ ca: z.string(), cert: z.string(), key: z.string(), verify: z.boolean() })
      .partial()
      .optional()
      .describe('The servers speak TLS (secureClientPort): PEM files. Default: in clear.'),
  })
  .superRefine((value, ctx) => {
    const refuse = (path: string, message: string, fix: string) =>
      ctx.addIssue({ code: 'custom', message, path: [path], params: { fix } })
    if (value.base !== undefined && !PATH.test(value.base)) {
      refuse(
        'base',
        `"${value.base}" is no path of a node`,
        'write /services: a slash before each name, none at the end',
      )
    }
    // The value is a secret, also when it is none.
    if (value.auth !== undefined && !/^[^:]+:./.test(value.auth)) {
      refuse('auth', 'is no user and password', 'write user:password, with ${ENV:…} for the password')
    }
    if (value.sessionTimeout < 1000) {
      refuse('sessionTimeout', 'is too short', 'write 1s or more; 15s is the default')
    }
    if (value.sweepInterval < 500) {
      refuse(
        'sweepInterval',
        'is too short: each reads everything',
        'write 500ms or more; 60s is the default',
      )
    }
  })
