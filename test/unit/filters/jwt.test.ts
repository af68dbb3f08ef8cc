import { describe, expect, test } from 'vitest'
import { GatewayError } from '../../../src/core/errors.ts'
import type { FilterContext } from '../../../src/filters/filter.ts'
import { jwt } from '../../../src/filters/jwt.ts'
import { runInbound } from '../../../src/filters/runner.ts'
import type { IdentityProvider, TokenVerdict } from '../../../src/identity/provider.ts'
import { aRouted } from '../../support/exchange.ts'
import { NO_RESOURCES } from '../../support/filter-environment.ts'
import { aContext, chainOf, notingDeps, use } from '../../support/filters.ts'

type Says = TokenVerdict | Promise<TokenVerdict>

/** A provider that knows tokens by heart; anything else is of another issuer. */
function provider(name: string, known: Readonly<Record<string, Says>>): IdentityProvider {
  return {
    name,
    kind: name === 'opaque' ? 'introspection' : 'jwt',
    realm: `https://${name}/`,
    verify: (token) => known[token] ?? { kind: 'invalid', reason: 'issuer' },
    check: async () => {},
    start: async () => {},
    keyAgeSeconds: () => undefined,
    close: async () => {},
  }
}

const claims = (own: Record<string, unknown> = {}): TokenVerdict => ({
  kind: 'valid',
  claims: Object.freeze({ sub: 'alice', scope: 'read write', roles: ['user'], groups: ['g'], ...own }),
})

const PROVIDERS = [
  provider('login', {
    alice: claims(),
    nobody: claims({ sub: undefined }),
    zero: claims({ sub: '' }),
    late: { kind: 'invalid', reason: 'expired' },
    lost: { kind: 'unavailable' },
    slow: Promise.resolve(claims({ sub: 'slow' })),
    clumsy: Promise.reject(new GatewayError('GW_INTERNAL_STATE')),
    text: claims({ roles: 'no admin', groups: '', scope: ' read  write ' }),
    list: claims({ scope: undefined, scp: ['read'], 'https://x/roles': ['admin'], a: { b: 1 }, n: 7 }),
  }),
  provider('device', { phone: claims({ sub: 'phone' }) }),
  provider('opaque', { blob: claims({ sub: 'blob' }) }),
]
for (const each of PROVIDERS) void Promise.resolve(each.verify('clumsy')).catch(() => {})

const FROM_BOTH = [{ header: 'authorization', prefix: 'Bearer' }, { query: 't' }]

interface Sent {
  readonly headers?: Record<string, string>
  readonly query?: string
}

function setUp(options: object, mode?: 'dryRun') {
  const counted: string[] = []
  const deps = {
    ...notingDeps(),
    metrics: {
      count: (_: string, labels: readonly string[]) => void counted.push(labels.join(' ')),
      set: () => {},
    },
    resources: {
      ...NO_RESOURCES,
      identityProvider(name: string) {
        const found = PROVIDERS.find((each) => each.name === name)
        if (found === undefined) throw new GatewayError('GW_CONFIG_INVALID', `no identity provider "${name}"`)
        return found
      },
    },
  }
  const spec = { ...use('jwt', options), ...(mode === undefined ? {} : { mode }) }
  const chain = chainOf([spec], deps)
  async function run({ headers = {}, query = '' }: Sent = {}) {
    const ctx: FilterContext = aContext({
      headers,
      decision: { ...aRouted(undefined), query, upstreamTarget: `/up${query}` },
    })
    const reply = await runInbound(chain, ctx)
    return { reply, ctx, status: reply?.status, code: reply?.code, who: ctx.principal?.id }
  }
  const bearer = (token: string) => run({ headers: { authorization: `Bearer ${token}` } })
  return { run, bearer, counted, warnings: deps.warnings }
}

describe('one provider', () => {
  test('a good token makes a principal, and goes no further', async () => {
    const { bearer, counted } = setUp({ providers: ['login'] })
    const { status, ctx } = await bearer('alice')
    expect(status).toBeUndefined()
    expect(ctx.principal).toEqual({
      id: 'alice',
      kind: 'jwt',
      filter: 'jwt',
      realm: 'https://login/',
      claims: expect.objectContaining({ sub: 'alice' }),
      roles: ['user'],
      groups: ['g'],
      scopes: ['read', 'write'],
    })
    expect(ctx.headers.has('authorization')).toBe(false)
    expect(counted).toEqual(['jwt ok'])
  })

  test('the same principal each time while the token is remembered', async () => {
    const { bearer } = setUp({ providers: ['login'] })
    const first = (await bearer('alice')).ctx.principal
    expect((await bearer('alice')).ctx.principal).toBe(first)
  })

  test.each([
    ['late', 401, 'GW_AUTH_EXPIRED', 'expired'],
    ['other', 401, 'GW_AUTH_INVALID', 'issuer'],
    ['nobody', 401, 'GW_AUTH_INVALID', 'claims'],
    ['zero', 401, 'GW_AUTH_INVALID', 'claims'],
    ['lost', 503, 'GW_AUTH_UNAVAILABLE', 'unavailable'],
    ['', 401, 'GW_AUTH_INVALID', 'issuer'],
  ])('token "%s": %i %s, counted as %s', async (token, status, code, decision) => {
    const { bearer, counted } = setUp({ providers: ['login'] })
    expect(await bearer(token)).toMatchObject({ status, code, who: undefined })
    expect(counted).toEqual([`jwt ${decision}`])
  })

  test('a provider that fails refuses', async () => {
    const { bearer, warnings } = setUp({ providers: ['login'] })
    expect(await bearer('clumsy')).toMatchObject({ status: 500, code: 'GW_FILTER_FAILED' })
    expect(warnings.join()).not.toContain('clumsy')
  })

  test('a token that has to be asked about is taken off, too', async () => {
    const { bearer } = setUp({ providers: ['login'] })
    const { who, ctx } = await bearer('slow')
    expect(who).toBe('slow')
    expect(ctx.headers.has('authorization')).toBe(false)
  })

  test('a bad token is taken off when it does not matter', async () => {
    const { bearer, counted } = setUp({ providers: ['login'], allow: 'missingOrFailed' })
    const { status, who, ctx } = await bearer('late')
    expect([status, who, ctx.headers.has('authorization')]).toEqual([undefined, undefined, false])
    expect(counted).toEqual(['jwt anonymous'])
  })

  test('forward leaves it where it is', async () => {
    const { bearer } = setUp({ providers: ['login'], forward: true })
    expect((await bearer('alice')).ctx.headers.get('authorization')).toBe('Bearer alice')
  })

  test('a header of a claim that is missing is not there, whoever set it', async () => {
    const { run } = setUp({
      providers: ['login'],
      allow: 'missing',
      headers: { 'x-user': 'id', 'x-mail': 'claims.mail' },
    })
    const headers = { 'x-user': 'root', 'x-mail': 'root' }
    expect((await run({ headers })).ctx.headers.size).toBe(0)
    const { ctx } = await run({ headers: { ...headers, authorization: 'Bearer alice' } })
    expect(ctx.headers.raw()).toEqual(['x-user', 'alice'])
  })

  test('a dry run changes nothing: the token goes on, in header and query', async () => {
    const { run, bearer, warnings } = setUp({ providers: ['login'], from: FROM_BOTH }, 'dryRun')
    expect((await bearer('late')).status).toBeUndefined()
    const { ctx, who } = await run({ headers: { authorization: 'Bearer alice' }, query: '?t=late&x=1' })
    expect(who).toBeUndefined()
    expect(ctx.headers.get('authorization')).toBe('Bearer alice')
    expect(ctx.decision.query).toBe('?t=late&x=1')
    expect(warnings).toEqual([])
  })

  test('Authorization of another scheme is not ours to take', async () => {
    const { run } = setUp({ providers: ['login'], allow: 'missing' })
    const { ctx } = await run({ headers: { authorization: 'Basic YTpi' } })
    expect(ctx.headers.get('authorization')).toBe('Basic YTpi')
    expect(ctx.attributes.get('challenges')).toEqual(['Bearer realm="api"'])
  })
})

describe('where the token is', () => {
  const from = [
    { header: 'X-Token', prefix: 'Token' },
    { header: 'x-raw' },
    { cookie: 'session' },
    { query: 'access_token' },
  ]
  test.each<[string, Sent]>([
    ['a header with a prefix', { headers: { 'x-token': 'token   alice' } }],
    ['a header without', { headers: { 'x-raw': 'alice' } }],
    ['a cookie', { headers: { cookie: 'a=1; session=alice; b=2' } }],
    ['a cookie in quotes', { headers: { cookie: 'session="alice"' } }],
    ['a parameter', { query: '?a=1&access_token=alice&b=%20' }],
    ['an escaped parameter', { query: '?access%5Ftoken=%61lice' }],
  ])('%s', async (_, sent) => {
    const { run } = setUp({ providers: ['login'], from })
    const { who, ctx } = await run(sent)
    expect(who).toBe('alice')
    const left = ctx.headers.raw().join() + ctx.decision.query + ctx.decision.upstreamTarget
    expect(left).not.toContain('lice')
  })

  test('what is beside it stays byte for byte', async () => {
    const { run } = setUp({ providers: ['login'], from })
    const { ctx } = await run({
      headers: { cookie: 'a=1;  session=alice;b="x; y"' },
      query: '?a=%41&access_token=alice&&b',
    })
    expect(ctx.headers.get('cookie')).toBe('a=1; b="x; y"')
    // The first place that has one counts; all are taken off.
    expect(ctx.decision.query).toBe('?a=%41&&b')
    expect(ctx.decision.upstreamTarget).toBe('/up?a=%41&&b')
  })

  test('the first place that has a token counts', async () => {
    const { run } = setUp({ providers: ['login'], from })
    expect(await run({ headers: { 'x-raw': 'late', cookie: 'session=alice' } })).toMatchObject({
      status: 401,
    })
  })
})

describe('scopes and claims', () => {
  test.each<[object, number | undefined]>([
    [{ scopes: { all: ['read', 'write'] } }, undefined],
    [{ scopes: { all: ['read', 'admin'] } }, 403],
    [{ scopes: { any: ['admin', 'read'] } }, undefined],
    [{ scopes: { any: ['admin'] } }, 403],
    [{ scopes: { all: ['rea'] } }, 403],
    [{ scopes: { all: ['read write'] } }, 403],
    [{ claims: { sub: 'alice' } }, undefined],
    [{ claims: { sub: 'alic' } }, 403],
    [{ claims: { sub: ['bob', 'alice'] } }, undefined],
    [{ claims: { sub: ['bob'] } }, 403],
    [{ claims: { roles: { contains: 'user' } } }, undefined],
    [{ claims: { roles: { contains: 'use' } } }, 403],
    [{ claims: { roles: { containsAny: ['admin', 'user'] } } }, undefined],
    [{ claims: { sub: { contains: 'ali' } } }, 403],
    [{ claims: { roles: 'user' } }, 403],
    [{ claims: { missing: 'x' } }, 403],
    [{ claims: { sub: 'alice', missing: 'x' } }, 403],
    [{ claims: { toString: 'x' } }, 403],
  ])('%j: %s', async (options, status) => {
    const { bearer } = setUp({ providers: ['login'], ...options })
    expect((await bearer('alice')).status).toBe(status)
  })

  test('from other claims', async () => {
    const options = {
      providers: ['login'],
      scopes: { all: ['read'] },
      rolesClaim: 'https://x/roles',
      claims: { 'a.b': 1, n: [6, 7] },
    }
    const { who, ctx } = await setUp(options).bearer('list')
    expect([who, ctx.principal?.roles, ctx.principal?.scopes]).toEqual(['alice', ['admin'], ['read']])
    expect((await setUp({ ...options, claims: { n: '7' } }).bearer('list')).status).toBe(403)
    expect((await setUp({ ...options, scopesClaim: 'groups' }).bearer('list')).status).toBe(403)
  })

  test('a role that is a text is one role, whatever is in it; scopes are words', async () => {
    const { principal } = (await setUp({ providers: ['login'] }).bearer('text')).ctx
    expect(principal).toMatchObject({ roles: ['no admin'], groups: [], scopes: ['read', 'write'] })
  })

  test('a refusal names the scopes that are needed, not those that are there', async () => {
    const { bearer } = setUp({ providers: ['login'], scopes: { all: ['admin', 'x"y'] }, realm: 'shop' })
    const { reply, code, who } = await bearer('alice')
    expect([code, who]).toEqual(['GW_AUTH_SCOPE', undefined])
    expect(reply?.headers).toEqual({
      'www-authenticate': 'Bearer realm="shop", error="insufficient_scope", scope="admin"',
    })
  })
})

describe('trees', () => {
  const device = { provider: 'device', from: [{ header: 'x-device' }] }
  const sent = (login?: string, phone?: string): Sent => ({
    headers: {
      ...(login === undefined ? {} : { authorization: `Bearer ${login}` }),
      ...(phone === undefined ? {} : { 'x-device': phone }),
    },
  })
  type Row = [
    tree: object,
    login: string | undefined,
    phone: string | undefined,
    status: number | undefined,
    who: string | undefined,
  ]
  const any = { require: { any: ['login', 'opaque'] } }
  const all = { require: { all: ['login', device] } }
  const soft = { require: { all: ['login', { any: [device], allow: 'missing' }] } }
  const deep = { require: { any: [{ all: ['login', device] }, 'opaque'] } }
  test.each<Row>([
    [any, 'alice', undefined, undefined, 'alice'],
    [any, 'blob', undefined, undefined, 'blob'],
    [any, 'x', undefined, 401, undefined],
    [any, undefined, undefined, 401, undefined],
    [any, 'lost', undefined, 503, undefined],
    [all, 'alice', 'phone', undefined, 'alice'],
    [all, 'slow', 'phone', undefined, 'slow'],
    [all, 'alice', undefined, 401, undefined],
    [all, 'alice', 'x', 401, undefined],
    [all, undefined, 'phone', 401, undefined],
    [soft, 'alice', undefined, undefined, 'alice'],
    [soft, 'alice', 'phone', undefined, 'alice'],
    [soft, 'alice', 'x', 401, undefined],
    [soft, undefined, undefined, 401, undefined],
    [deep, 'blob', undefined, undefined, 'blob'],
    [deep, 'alice', 'phone', undefined, 'alice'],
    [deep, 'alice', undefined, 401, undefined],
    [{ ...any, allow: 'missing' }, undefined, undefined, undefined, undefined],
    [{ ...any, allow: 'missing' }, 'x', undefined, 401, undefined],
    [{ ...any, allow: 'missing' }, 'lost', undefined, 503, undefined],
    [{ ...any, allow: 'missingOrFailed' }, 'lost', undefined, undefined, undefined],
    [{ ...any, allow: 'missingOrFailed' }, 'alice', undefined, undefined, 'alice'],
    [{ require: { provider: 'login', scopes: { all: ['admin'] } } }, 'alice', undefined, 403, undefined],
    [
      { require: { any: [{ provider: 'login', scopes: { all: ['admin'] } }, 'opaque'] } },
      'alice',
      undefined,
      403,
      undefined,
    ],
    [{ require: 'login', claims: { sub: 'bob' } }, 'alice', undefined, 403, undefined],
    [
      { require: { provider: 'login', claims: { sub: 'alice' } }, claims: { sub: 'bob' } },
      'alice',
      undefined,
      403,
      undefined,
    ],
  ])('%j with %s and %s: %s %s', async (options, login, phone, status, who) => {
    const { run } = setUp(options)
    const result = await run(sent(login, phone))
    expect([result.status, result.who]).toEqual([status, who])
  })

  test('the provider whose token it is says what is wrong with it', async () => {
    const { bearer, counted } = setUp({ providers: ['device', 'login', 'opaque'] })
    expect((await bearer('late')).code).toBe('GW_AUTH_EXPIRED')
    expect(counted).toEqual(['jwt expired'])
  })

  test('tokens of all places of a tree are taken off', async () => {
    const { ctx } = await setUp(all).run(sent('alice', 'phone'))
    expect(ctx.headers.names()).toEqual([])
  })

  test('a token by introspection says so', async () => {
    const { ctx } = await setUp(any).run(sent('blob'))
    expect(ctx.principal).toMatchObject({ kind: 'introspection', realm: 'https://opaque/' })
  })
})

describe('options', () => {
  test.each([
    ['nothing', {}],
    ['both', { providers: ['login'], require: 'login' }],
    ['an unknown provider', { providers: ['logn'] }],
    ['authorization as a header for the service', { providers: ['login'], headers: { Authorization: 'id' } }],
    ['host as a header for the service', { providers: ['login'], headers: { host: 'id' } }],
    ['a header of something unknown', { providers: ['login'], headers: { 'x-a': 'sub' } }],
    ['a realm with a quote', { providers: ['login'], realm: 'a"b' }],
    ['no place', { providers: ['login'], from: [] }],
    ['an unknown key', { providers: ['login'], scope: {} }],
  ])('%s: refused', (_, options) => {
    expect(() => setUp(options)).toThrow(expect.objectContaining({ code: 'GW_CONFIG_INVALID' }))
  })

  test('headers for the service are the filter’s own', () => {
    const options = jwt.options.parse({ providers: ['login'], headers: { 'X-User': 'id' } })
    const deps = { ...notingDeps(), name: 'jwt', resources: { identityProvider: () => PROVIDERS[0] } }
    const handlers = jwt.create(options, deps as never)
    expect(handlers.ownsHeaders).toEqual(['x-user'])
  })
})
