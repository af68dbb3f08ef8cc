import { expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { guarded } from '../support/guarded.ts'
import { SECRET, signed } from '../support/sign.ts'

const cleanups = useCleanups()
const filter = (own = '') =>
  `{ type: hmac, keys: [{ id: k1, algorithm: hmac-sha256, secret: "${SECRET}" }], replay: off, ${own} }`
const REFUSED = { status: 401, code: 'GW_AUTH_SIGNATURE', arrived: undefined }

test.each([
  [[]],
  [['@method']],
  [['@target-uri']],
  [['@method', '@path', '@query']],
  [['@method', '@authority', '@path']],
  [['@method', '@authority']],
  [['@method', 'date']],
])('a signature over %j alone is not enough', async (cover) => {
  const { send } = await guarded(cleanups, filter())
  const answer = await send(signed({ headers: { date: 'now' } }, { cover }))
  expect(answer).toMatchObject(REFUSED)
  expect(answer.detail).toMatch(/^not covered: /)
})

test.each([
  ['another path', { path: '/admin' }],
  ['another query', { path: '/?admin=1' }],
  ['an escaped path', { path: '/%2e' }],
  ['another method', { method: 'DELETE' }],
])('the signature of one request under another: %s', async (_what, own) => {
  const { send } = await guarded(cleanups, filter())
  const request = signed()
  expect((await send(request)).status).toBe(200)
  expect(await send({ ...request, ...own })).toMatchObject(REFUSED)
})

test('at another host', async () => {
  const { send } = await guarded(cleanups, filter())
  const request = signed()
  expect(await send({ ...request, headers: { ...request.headers, host: 'b.example' } })).toMatchObject(
    REFUSED,
  )
})

test('a signed header that is changed, doubled, or taken away', async () => {
  const { send } = await guarded(cleanups, filter('components: ["@method", "@target-uri", x-amount]'))
  const cover = ['@method', '@target-uri', 'x-amount']
  const request = signed({ headers: { 'x-amount': '10' } }, { cover })
  expect((await send(request)).status).toBe(200)
  const { 'x-amount': _amount, ...without } = request.headers
  for (const headers of [
    { ...request.headers, 'x-amount': '99' },
    { ...request.headers, 'x-amount': ['10', '99'] },
    { ...request.headers, 'x-amount': ['99', '10'] },
    without,
  ]) {
    expect(await send({ ...request, headers })).toMatchObject(REFUSED)
  }
  expect(await send(signed({ headers: { 'x-amount': '10' } }))).toMatchObject(REFUSED)
})

test('two Signature-Input fields: no second value takes the place of the first', async () => {
  const { send } = await guarded(cleanups, filter())
  const request = signed()
  const weak = `sig=()${/;created.*/.exec(request.headers['signature-input'] ?? '')?.[0]}`
  for (const inputs of [
    [request.headers['signature-input'] ?? '', weak],
    [weak, request.headers['signature-input'] ?? ''],
  ]) {
    const answer = await send({
      ...request,
      path: '/admin',
      headers: { ...request.headers, 'signature-input': inputs },
    })
    expect(answer).toMatchObject(REFUSED)
  }
})

test('more signatures than anybody needs are not tried', async () => {
  const { send } = await guarded(cleanups, filter())
  const request = signed()
  const many = Array.from({ length: 500 }, (_, i) => `s${i}=()`).join(', ')
  const headers = { ...request.headers, 'signature-input': `${many}, ${request.headers['signature-input']}` }
  expect(await send({ ...request, headers })).toMatchObject(REFUSED)
})
