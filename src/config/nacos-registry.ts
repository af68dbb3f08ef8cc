import { z } from 'zod'
import { callUrl, registryRules, registryTls } from './registry-common.ts'
import { duration } from './values.ts'

/** A registry of type nacos. */
export const nacosRegistry = z
  .strictObject({
    type: z.literal('nacos'),
    urls: z
      .array(callUrl().transform((url) => url.replace(/\/+$/, '')))
      .min(1)
      .default(['http://127.0.0.1:8848/nacos'])
      .describe(
        'Servers with their context path; another is asked when one fails. Default http://127.0.0.1:8848/nacos.',
      ),
    api: z
      .enum(['v1', 'v2'])
      .default('v2')
      .describe('v2 needs Nacos 2.2; v1 works with 1.x and 2.x. Default v2.'),
    namespaceId: z.string().default('').describe('Its id, not its name. Default: the public one.'),
    groupName: z.string().min(1).default('DEFAULT_GROUP').describe('Default DEFAULT_GROUP.'),
    clusters: z.array(z.string().min(1)).default([]).describe('Clusters to read. Default: all.'),
    username: z.string().min(1).optional().describe('Default: no login.'),
    password: z.string().optional().describe('Take it from ${ENV:…} or ${FILE:…}. Default: none.'),
    passwordFile: z
      .string()
      .optional()
      .describe('File with the password, read again at each login. Wins over password. Default: none.'),
    interval: duration().default(5000).describe('How often everything is read. Default 5s.'),
    timeout: duration().default(5000).describe('For one answer of one server. Default 5s.'),
    tls: registryTls.optional().describe('PEM files for https servers. Default: the system’s authorities.'),
    ...registryRules,
  })
  .superRefine((value, ctx) => {
    const refuse = (path: string, message: string, fix: string) =>
      ctx.addIssue({ code: 'custom', message, path: [path], params: { fix } })
    if (value.username === undefined && (value.password !== undefined || value.passwordFile !== undefined)) {
      refuse('username', 'is missing beside a password', 'give the user that the password is of')
    }
    if (value.interval < 1000) {
      refuse(
        'interval',
        'is too short: each time every service is read',
        'write 1s or more; 5s is the default',
      )
    }
    if (value.timeout < 1)
      refuse('timeout', 'must not be 0', 'write how long an answer may take; 5s is the default')
    if (value.urls.some((url) => url.includes('?'))) {
      refuse('urls', 'a ? does not belong here', 'write http://10.0.0.1:8848/nacos')
    }
    if (value.tls !== undefined && value.urls.some((url) => url.startsWith('http:'))) {
      refuse('urls', 'tls is given, but a server is spoken to in clear', 'write https:// for all of them')
    }
  })
