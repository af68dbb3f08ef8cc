import { describe, expect, test } from 'vitest'
import { load, problemsOf } from '../../support/config.ts'

const route = (
  more: string,
) => `services: { shop: { upstreams: ["http://10.0.0.1:80"] }, next: { upstreams: ["http://10.0.0.2:80"] } }
routes:
  - name: shop
    match: { pathPrefix: / }
    service: shop
${more}`

const messages = async (more: string, files: Record<string, string> = {}) =>
  (await problemsOf({ 'sluice.yaml': route(more), ...files })).map(
    ({ line, message }) => `${line}: ${message}`,
  )

describe('mirror', () => {
  test('has careful defaults', async () => {
    const { dynamic } = await load({
      'sluice.yaml': route('    mirror: { service: next, percent: 0.25, compare: {} }'),
    })
    expect(dynamic.routes[0]?.mirror).toEqual({
      service: 'next',
      share: 25,
      methods: ['GET', 'HEAD'],
      maxBodyBytes: 65_536,
      timeoutMs: 5000,
      maxInFlight: 16,
      hostSuffix: '-shadow',
      compare: { sample: 1, ignore: [], tolerance: 0, noise: 0.1, maxBodyBytes: 65_536 },
    })
  })

  test('a service may have one', async () => {
    const text =
      'version: 1\nservices: { shop: { upstreams: ["http://10.0.0.1:80"], mirror: { version: "2" } } }'
    const { dynamic } = await load({ 'sluice.yaml': text })
    expect(dynamic.services[0]?.mirror).toMatchObject({ version: '2', share: 10_000 })
    expect(dynamic.defaultPolicy).not.toHaveProperty('mirror')
  })

  test.each([
    ['    mirror: { percent: 5 }', '7: the mirror has no target'],
    [
      '    mirror: { service: nxt }',
      '7: service "nxt" is not defined, and there is no registry to find it in',
    ],
    [
      '    mirror: { service: next, compare: { ignore: ["$.a[0]"] } }',
      '7: "$.a[0]" is no path: write $.items[*].id or **.updatedAt',
    ],
    ['    mirror: { service: next, methods: [TRACE] }', '7: CONNECT and TRACE are never served'],
    ['    mirror: { service: next, hostSuffix: "/x" }', '7: letters, digits, and . _ -'],
    [
      '    mirror: { service: next, compare: { maxBody: 1MiB } }',
      '7: more than 256KiB would hold up other requests while it is looked at',
    ],
    ['    mirror: { service: next, percnt: 5 }', '7: unknown key "percnt"'],
  ])('%s is a mistake', async (more, message) => {
    expect(await messages(more)).toContain(message)
  })

  test('a route that answers by itself has nothing to copy', async () => {
    const text = `services: { next: { upstreams: ["http://10.0.0.2:80"] } }
routes: [{ name: a, match: { path: /a }, respond: { status: 200 }, mirror: { service: next } }]`
    expect((await problemsOf({ 'sluice.yaml': text })).map(({ message }) => message)).toEqual([
      'the route answers by itself: there is nothing for mirror',
    ])
  })
})

const OPENAPI = `openapi: 3.1.0
components:
  schemas:
    Item:
      type: object
      required: [id, price]
      properties:
        id: { type: integer }
        price: { $ref: '#/components/schemas/Money' }
        note: { type: string, nullable: true }
        kind: { enum: [a, b, null] }
        parts: { type: array, items: { allOf: [{ $ref: '#/components/schemas/Item' }, { required: [note] }] } }
        either: { oneOf: [{ type: string }, { type: object, properties: { x: { type: string } } }] }
        free: {}
    Money: { type: [string, 'null'] }
    Loop: { $ref: '#/components/schemas/Loop' }
`

describe('contract', () => {
  test('takes what a schema says: kinds, what is required, lists, references', async () => {
    const { dynamic, files } = await load({
      'sluice.yaml': route(
        '    contract: { maxDepth: 3, schema: { file: api.yaml, at: "#/components/schemas/Item" } }',
      ),
      'api.yaml': OPENAPI,
    })
    expect(dynamic.routes[0]?.contract?.fields).toEqual([
      { path: '$', kinds: ['object'], isRequired: true },
      { path: '$.id', kinds: ['number'], isRequired: true },
      { path: '$.price', kinds: ['string', 'null'], isRequired: true },
      { path: '$.note', kinds: ['string', 'null'], isRequired: false },
      { path: '$.kind', kinds: ['string', 'null'], isRequired: false },
      { path: '$.parts', kinds: ['array'], isRequired: false },
      { path: '$.parts[*]', kinds: ['object'], isRequired: false },
      { path: '$.parts[*].id', kinds: ['number'], isRequired: true },
      { path: '$.parts[*].price', kinds: ['string', 'null'], isRequired: true },
      { path: '$.parts[*].note', kinds: ['string', 'null'], isRequired: true },
      { path: '$.parts[*].kind', kinds: ['string', 'null'], isRequired: false },
      { path: '$.parts[*].parts', kinds: ['array'], isRequired: false },
      { path: '$.parts[*].either', kinds: ['string', 'object'], isRequired: false },
      { path: '$.either', kinds: ['string', 'object'], isRequired: false },
    ])
    expect(files.some((file) => file.endsWith('/api.yaml'))).toBe(true)
  })

  test('learns without one', async () => {
    const { dynamic } = await load({ 'sluice.yaml': route('    contract: {}') })
    expect(dynamic.routes[0]?.contract).toEqual({
      sample: 0.01,
      minSamples: 100,
      requiredFrom: 0.99,
      maxBodyBytes: 65_536,
      maxDepth: 8,
      maxFields: 500,
    })
  })

  test.each(['#/components/schemas/None', '#/components/schemas/Loop'])('%s is no schema', async (at) => {
    const more = `    contract: { schema: { file: api.yaml, at: "${at}" } }`
    expect(await messages(more, { 'api.yaml': OPENAPI })).toEqual([
      expect.stringContaining(`7: there is no schema with a type at "${at}"`),
    ])
  })

  test('a schema that cannot be read is a mistake', async () => {
    expect(await messages('    contract: { schema: { file: none.yaml } }')).toEqual([
      expect.stringContaining('none.yaml cannot be read'),
    ])
    expect(
      await messages('    contract: { schema: { file: bad.yaml } }', { 'bad.yaml': '{ a: [' }),
    ).toHaveLength(1)
  })
})
