import { beforeAll, describe, expect, test } from 'vitest'
import { ruleOptionsOf } from '../../src/filters/waf.ts'
import { wafOptions } from '../../src/filters/waf-options.ts'
import type { RuleSet, WafEngine } from '../../src/waf/engine.ts'
import { buildRules } from '../../src/waf/rules.ts'
import type { InspectedRequest } from '../../src/waf/types.ts'
import { useCleanups } from '../support/cleanup.ts'
import { anEngine, aPost, aRequest, CRS, requireCoreRules } from '../support/waf.ts'

const { later } = useCleanups()
beforeAll(requireCoreRules)

const JSON_TYPE = 'application/json'
const json = (value: unknown, type = JSON_TYPE) => aPost(type, JSON.stringify(value))
const query = (value: string) => aRequest({ uri: `/search?q=${encodeURIComponent(value)}` })

const GRAPHQL = `query Orders($first: Int!, $after: String) {
  viewer { orders(first: $first, after: $after, orderBy: { field: CREATED_AT, direction: DESC }) {
    edges { cursor node { id total { amount currency } items { product { name sku } quantity } } }
    pageInfo { endCursor hasNextPage } } } }`

const UPLOAD = [
  '------WebKitFormBoundary7MA4YWxkTrZu0gW',
  'Content-Disposition: form-data; name="title"',
  '',
  'Urlaub am Bodensee – schöne Grüße!',
  '------WebKitFormBoundary7MA4YWxkTrZu0gW',
  'Content-Disposition: form-data; name="photo"; filename="see-2024.jpg"',
  'Content-Type: image/jpeg',
  '',
  Buffer.from(Array.from({ length: 3000 }, (_, i) => (i * 7919) % 256)).toString('latin1'),
  '------WebKitFormBoundary7MA4YWxkTrZu0gW--',
  '',
]
  .join('\r\n')
  .replace(/^--/, '')

/** What applications send all day. */
const CLEAN: readonly (readonly [string, InspectedRequest])[] = [
  ['a page', aRequest({ uri: '/shop/shoes/42?colour=red&size=42&page=2' })],
  ['a static file', aRequest({ uri: '/assets/app-4f3c9a.min.js?v=1.2.3' })],
  ['a search in German', query('Grüße aus Köln, Straße & Fußgängerübergänge')],
  ['a search in Chinese', query('搜索 新鲜的水果和蔬菜')],
  ['a search with an apostrophe', query("O'Reilly's guide to rock'n'roll")],
  [
    'a filter language',
    aRequest({ uri: '/api/orders?filter=status:open,total:100..200&sort=-created_at&fields=id,total' }),
  ],
  ['dates', aRequest({ uri: '/api/slots?from=2026-01-01T00:00:00Z&to=2026-01-31T23:59:59%2B01:00' })],
  [
    'an OAuth redirect',
    aRequest({
      uri: `/callback?code=4%2F0AX4XfWh-${'a1B2'.repeat(10)}&state=eyJub25jZSI6IjEyMyJ9&scope=email%20profile%20openid`,
    }),
  ],
  [
    'an OAuth authorisation with a redirect URI',
    aRequest({
      uri: `/authorize?response_type=code&client_id=web&redirect_uri=${encodeURIComponent('https://app.example.com/cb?x=1')}&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256`,
    }),
  ],
  [
    'a login',
    aPost(
      'application/x-www-form-urlencoded',
      'username=anna.m%C3%BCller%40example.com&password=Correct-Horse_Battery9',
    ),
  ],
  [
    'a bearer token and tracing headers',
    aRequest({
      headerFields: [
        'Authorization',
        `Bearer eyJhbGciOiJSUzI1NiJ9.${'QmFzZTY0VXJs'.repeat(30)}.${'c2lnbmF0dXJl'.repeat(20)}`,
        'traceparent',
        '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        'X-Forwarded-For',
        '203.0.113.9, 10.0.0.1',
        'X-Forwarded-Proto',
        'https',
        'Forwarded',
        'for=203.0.113.9;proto=https;host=shop.example.com',
        'Via',
        '1.1 sluice',
        'Accept-Language',
        'de-DE,de;q=0.9,en;q=0.8',
        'If-None-Match',
        'W/"33a64df551425fcc55e4d42a148795d9f25f89d4"',
      ],
    }),
  ],
  [
    'cookies of a shop',
    aRequest({
      headerFields: [
        'Cookie',
        'session=3f9a8c7b6d5e; _ga=GA1.2.1234567890.1690000000; consent=%7B%22a%22%3Atrue%7D; lang=de',
      ],
    }),
  ],
  [
    'an order in JSON',
    json({
      id: '7c9e6679-7425-40de-944b-e07fc1f90ae7',
      customer: { name: 'Jürgen Groß', email: 'juergen.gross@example.de', phone: '+49 7531 12345' },
      items: [
        { sku: 'A-100', quantity: 2, price: 19.99 },
        { sku: 'B-7', quantity: 1, price: 5 },
      ],
      note: 'Bitte beim Nachbarn abgeben; danke! (2. Stock, links)',
      gift: false,
      coupon: null,
    }),
  ],
  ['Chinese text in JSON', json({ title: '你好，世界', text: '这是一个测试，请选择您的订单。' })],
  [
    'a comment with punctuation',
    json({ comment: 'I like it -- really! See pages 4-7 (and the appendix); 100% recommended :)' }),
  ],
  [
    'base64',
    json({
      name: 'logo.png',
      data: Buffer.from('\x89PNG\r\n\x1a\n'.repeat(100), 'latin1').toString('base64'),
    }),
  ],
  [
    'texts of the world in JSON',
    json({
      zh: '人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。',
      ja: 'すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。',
      ru: 'Все люди рождаются свободными и равными в своём достоинстве и правах.',
      ar: 'يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق.',
      el: 'Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.',
      hi: 'सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है।',
      de: '„Alle Menschen sind frei und gleich an Würde und Rechten geboren.“ – so steht’s geschrieben …',
      emoji: '👩‍👩‍👧‍👦 🎉 100 %',
    }),
  ],
  [
    'GraphQL',
    json({ query: GRAPHQL, variables: { first: 20, after: 'Y3Vyc29yOjIw' }, operationName: 'Orders' }),
  ],
  [
    'a JSON patch',
    json([{ op: 'replace', path: '/items/0/quantity', value: 3 }], 'application/json-patch+json'),
  ],
  [
    'a cloud event',
    json(
      {
        specversion: '1.0',
        type: 'com.example.order.created',
        source: '/orders',
        id: '1',
        data: { total: 3 },
      },
      'application/cloudevents+json',
    ),
  ],
  [
    'a webhook',
    json({
      event: 'payment.succeeded',
      created: 1_690_000_000,
      data: { object: { id: 'pi_3N', amount: 1999, currency: 'eur' } },
    }),
  ],
  [
    'metrics in JSON',
    json({ series: Array.from({ length: 100 }, (_, i) => [1_690_000_000 + i * 60, i / 3]) }),
  ],
  [
    'an upload',
    aPost(
      'multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW',
      Buffer.from(`--${UPLOAD}`, 'latin1'),
    ),
  ],
  [
    'SOAP',
    aPost(
      'text/xml; charset=utf-8',
      '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><getPrice xmlns="http://example.com"><item>Äpfel</item></getPrice></s:Body></s:Envelope>',
    ),
  ],
  ['plain text', aPost('text/plain; charset=utf-8', 'Just some text, nothing else.')],
  ['an empty POST', aRequest({ method: 'POST', headerFields: ['Content-Length', '0'] })],
  ['PUT and DELETE', aRequest({ method: 'DELETE', uri: '/api/carts/42/items/7' })],
  [
    'OPTIONS of a preflight',
    aRequest({
      method: 'OPTIONS',
      headerFields: [
        'Origin',
        'https://app.example.com',
        'Access-Control-Request-Method',
        'PUT',
        'Access-Control-Request-Headers',
        'authorization,content-type',
      ],
    }),
  ],
  ['HTTP/2', aRequest({ httpVersion: '2.0' })],
]

describe('what is no attack passes at paranoia level 1', () => {
  let engine: WafEngine | undefined
  let set: RuleSet | undefined

  test.each(CLEAN)('%s', async (_, request) => {
    engine ??= anEngine().engine
    set ??= await engine.acquire(buildRules(ruleOptionsOf(wafOptions.parse({ graphql: true }), CRS)), 1)
    const { verdict } = await engine.inspect(set, request, false).verdict
    expect([verdict.isBlocked, verdict.hits]).toEqual([false, expect.any(Array)])
    expect(verdict.score).toBeLessThan(5)
  })

  test('an attack in a variable of GraphQL is none the less one', async () => {
    const query = { query: GRAPHQL, variables: { name: "1' union select password from users--" } }
    const { verdict } = (await engine?.inspect(set as RuleSet, json(query), false).verdict) ?? {}
    expect(verdict?.isBlocked).toBe(true)
  })

  test('all of them were judged by the same engine', async () => {
    expect(await engine?.handles()).toEqual({ sets: 1, transactions: 0 })
    later(() => engine?.close())
  })
})
