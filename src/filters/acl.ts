import { z } from 'zod'
import { type AccessConditions, type AccessRule, decideAccess } from '../identity/access-rules.ts'
import { defineFilter } from './filter.ts'
import { createNetworkTest, networkOption } from './networks.ts'

const names = (what: string) => z.array(z.string().min(1)).min(1).optional().describe(what)

const conditions = z.strictObject({
  roles: names('One of these roles.'),
  groups: names('One of these groups.'),
  scopes: names('One of these scopes.'),
  allScopes: names('All of these scopes.'),
  principals: z
    .array(
      z
        .strictObject({
          id: z.string().min(1).optional(),
          kind: z
            .enum(['jwt', 'api-key', 'basic', 'hmac', 'mtls', 'introspection', 'forward-auth'])
            .optional(),
          realm: z
            .string()
            .min(1)
            .optional()
            .describe('Ids of two realms are two principals: name it beside id.'),
        })
        .refine((match) => Object.values(match).some((value) => value !== undefined), {
          error: 'name id, kind or realm',
        }),
    )
    .min(1)
    .optional()
    .describe('One of these principals: every part that is given must be equal.'),
  authenticated: z.boolean().optional().describe('true = anybody who is known, false = only who is not.'),
  networks: z.array(networkOption()).min(1).optional().describe('The client’s address is in one of them.'),
  methods: z
    .array(z.string().regex(/^[A-Z][A-Z-]*$/, { error: 'methods are written in capitals' }))
    .min(1)
    .optional()
    .describe('One of these methods; GET also takes HEAD.'),
})

const rule = z
  .strictObject({
    allow: conditions.optional().describe('The request may pass when all of this holds; {} = always.'),
    deny: conditions.optional().describe('The request is refused when all of this holds; {} = always.'),
  })
  .refine(({ allow, deny }) => (allow === undefined) !== (deny === undefined), {
    error: 'write either allow or deny',
  })

function toRule({ allow, deny }: z.output<typeof rule>): AccessRule {
  const { networks, ...rest } = allow ?? deny ?? {}
  const compiled: AccessConditions = {
    ...rest,
    isInNetworks: networks === undefined ? undefined : createNetworkTest(networks),
  }
  return { effect: allow === undefined ? 'deny' : 'allow', conditions: compiled }
}

/**
 * Who may do what, after the filters that find out who it is. 403 GW_AUTH_DENIED, GW_AUTH_NOT_ALLOWED; 401
 * GW_AUTH_MISSING.
 */
export const acl = defineFilter({
  name: 'acl',
  summary:
    'Rules on roles, groups, scopes, principals, networks and methods: the first that fits decides, none = 403.',
  options: z.strictObject({
    rules: z.array(rule).min(1).describe('In this order; the first that fits decides. None fits: refused.'),
  }),
  create({ rules: written }) {
    const rules = written.map(toRule)
    return {
      inbound(ctx) {
        switch (decideAccess(rules, ctx)) {
          case 'allowed':
            return undefined
          case 'denied':
            return { status: 403, code: 'GW_AUTH_DENIED' }
          case 'not-allowed':
            return { status: 403, code: 'GW_AUTH_NOT_ALLOWED' }
          default: {
            const challenges = ctx.attributes.get('challenges') as readonly string[] | undefined
            const authenticate = challenges?.join(', ')
            return {
              status: 401,
              code: 'GW_AUTH_MISSING',
              ...(authenticate === undefined ? {} : { headers: { 'www-authenticate': authenticate } }),
            }
          }
        }
      },
    }
  },
})
