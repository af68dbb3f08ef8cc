import { generateKeyPairSync, sign } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:http2'
import { describe, expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { guarded } from '../support/guarded.ts'
import { memoryStore, withStore } from '../support/memory-store.ts'
import { nowSeconds, SECRET, signed } from '../support/sign.ts'
import { tlsFiles } from '../support/tls-files.ts'

const cleanups = useCleanups()
const filter = (own = '', key = '') =>
  `{ type: hmac, keys: [{ id: k1, algorithm: hmac-sha256, secret: "${SECRET}", owner: shop, ${key} }], ${own} }`

describe('hmac', () => {
  test('a signed request passes, with its body, without the signature', async () => {
    const { send, gateway } = await guarded(cleanups, filter('headers: { x-owner: id, x-key: claims.key }'))
    const { status, arrived } = await send(signed({ method: 'POST', path: '/a?b=c', body: '{"a":1}' }))
    expect([status, arrived?.body, arrived?.headers['x-owner'], arrived?.headers['x-key']]).toEqual([
      200,
      '{"a":1}',
      'shop',
      'k1',
    ])
    expect(arrived?.headers).not.toHaveProperty('signature')
    expect(arrived?.headers).not.toHaveProperty('signature-input')
    expect(await gateway.record()).toMatchObject({ principal: { id: 'shop', kind: 'hmac' } })
  })

  test('without a signature: 401, and what one would have to cover', async () => {
    const { send } = await guarded(cleanups, filter('realm: shop, tag: app'))
    const answer = await send()
    expect(answer).toMatchObject({ status: 401, code: 'GW_AUTH_MISSING', arrived: undefined })
    expect(answer.headers['www-authenticate']).toBe('Signature realm="shop"')
    expect(answer.headers['accept-signature']).toBe(
      'sig=("@method" "@target-uri" "content-digest");created;keyid;tag="app"',
    )
  })

  test('what is signed is the request as it was sent, whatever the gateway or a filter makes of it', async () => {
    const before = '{ type: headers, request: { set: { x-note: changed }, remove: [x-gone] } }'
    const { send } = await guarded(cleanups, `${before}, ${filter()}`)
    const headers = {
      'x-note': 'mine',
      'x-gone': 'y',
      'x-forwarded-for': '6.6.6.6',
      via: '1.1 cache',
      te: 'trailers',
    }
    const cover = ['@method', '@target-uri', 'x-note', 'x-gone', 'x-forwarded-for', 'via', 'te']
    const { status, arrived } = await send(signed({ path: '/%61/./b?x', headers }, { cover }))
    expect([status, arrived?.headers['x-note']]).toEqual([200, 'changed'])
  })

  test('address, path and query may stand for the whole address; Host is compared without case', async () => {
    const { send } = await guarded(cleanups, filter())
    const cover = ['@method', '@authority', '@path', '@query']
    const request = signed({ path: '/x' }, { cover })
    expect((await send({ ...request, headers: { ...request.headers, host: 'A.Example' } })).status).toBe(200)
  })

  test('one of several signatures is enough; with a label only that one counts', async () => {
    const good = signed()
    const headers = {
      'signature-input': `other=("@method");created=${nowSeconds()};keyid="x", ${good.headers['signature-input']}`,
      signature: `other=:AA==:, ${good.headers['signature']}`,
    }
    const { send, swap } = await guarded(cleanups, filter('replay: off'))
    expect((await send({ headers })).status).toBe(200)
    await swap(filter('replay: off, label: sig'))
    expect((await send({ headers })).status).toBe(200)
    await swap(filter('replay: off, label: other'))
    expect(await send({ headers })).toMatchObject({ status: 401, code: 'GW_AUTH_SIGNATURE' })
  })

  test.each([
    ['ed25519', generateKeyPairSync('ed25519'), null, {}],
    [
      'ecdsa-p256-sha256',
      generateKeyPairSync('ec', { namedCurve: 'prime256v1' }),
      'sha256',
      { dsaEncoding: 'ieee-p1363' },
    ],
  ] as const)('a public key is enough for %s', async (algorithm, pair, hash, how) => {
    const pem = pair.publicKey.export({ type: 'spki', format: 'pem' }).toString()
    const keys = JSON.stringify([{ id: 'k1', algorithm, publicKey: pem }])
    const { send } = await guarded(cleanups, `{ type: hmac, keys: ${keys} }`)
    const bySigner = { sign: (base: Buffer) => sign(hash, base, { key: pair.privateKey, ...how }) }
    expect((await send(signed({}, bySigner))).status).toBe(200)
    expect((await send(signed())).status).toBe(401)
  })

  test('a body larger than can be checked: 413', async () => {
    const { send } = await guarded(cleanups, filter('maxBody: 10'))
    const answer = await send(signed({ method: 'POST', body: 'x'.repeat(11) }))
    expect(answer).toMatchObject({ status: 413, code: 'GW_REQUEST_BODY_TOO_LARGE', arrived: undefined })
  })

  test('several gateways share what was used through the store; while it is down nothing passes', async () => {
    const store = memoryStore()
    const environment = { resources: withStore(store) }
    const options = 'replay: { store: main }'
    const one = await guarded(cleanups, filter(options), { environment })
    const two = await guarded(cleanups, filter(options), { environment })
    const request = signed()
    expect((await one.send(request)).status).toBe(200)
    expect(await two.send(request)).toMatchObject({
      status: 401,
      code: 'GW_AUTH_REPLAYED',
      arrived: undefined,
    })
    const [[key, ttl] = ['', 0]] = store.keys
    expect(key).toMatch(/^replay:[\w-]{43}$/)
    expect(ttl).toBeGreaterThan(325_000)
    expect(ttl).toBeLessThanOrEqual(330_000)
    store.isUp = false
    const answer = await one.send(signed({ path: '/2' }))
    expect(answer).toMatchObject({ status: 503, code: 'GW_AUTH_UNAVAILABLE', arrived: undefined })
    expect(JSON.stringify(answer)).not.toContain('10.9.8.7')
  })

  test('over HTTP/2', async () => {
    const files = await cleanups.opened(tlsFiles('a.example'))
    const { gateway } = await guarded(cleanups, filter(), { tls: { pairs: [files] } })
    const session = connect(gateway.url, { ca: files.ca, servername: 'a.example' })
    cleanups.later(() => session.destroy())
    const statusOf = async (path: string, body: string) => {
      const { headers } = signed({ method: 'POST', path: '/a?b', body: 'x', scheme: 'https' })
      const pseudo = { ':method': 'POST', ':path': path, ':authority': 'a.example' }
      const stream = session.request({ ...pseudo, ...headers })
      stream.end(body)
      const [answer] = await once(stream, 'response')
      return (answer as { ':status': number })[':status']
    }
    expect([await statusOf('/a?c', 'x'), await statusOf('/a?b', 'y'), await statusOf('/a?b', 'x')]).toEqual([
      401, 400, 200,
    ])
  })

  test('when no more can be remembered, requests are refused', async () => {
    const { send } = await guarded(cleanups, filter('replayEntries: 1'))
    expect((await send(signed({ path: '/1' }))).status).toBe(200)
    expect(await send(signed({ path: '/2' }))).toMatchObject({ status: 503, code: 'GW_AUTH_UNAVAILABLE' })
  })
})
