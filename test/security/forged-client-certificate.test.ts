import { expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { guarded } from '../support/guarded.ts'

const cleanups = useCleanups()
const XFCC = `Hash=${'ab'.repeat(32)};Subject="CN=admin";URI=spiffe://prod/admin`
const FORGED = {
  'x-forwarded-client-cert': XFCC,
  'client-cert': ':AAAA:',
  'client-cert-chain': ':AAAA:',
  'x-client-cert-cn': 'admin',
}

test.each([true, false])(
  'a stranger’s word about a certificate counts for nothing (forwarded: %s)',
  async (forwarded) => {
    const { send } = await guarded(cleanups, `{ type: mtls, forwarded: ${forwarded} }`)
    expect(await send({ headers: FORGED })).toMatchObject({
      status: 403,
      code: 'GW_AUTH_CERTIFICATE',
      arrived: undefined,
    })
  },
)

test('nor does a trusted proxy’s, unless the operator wants it', async () => {
  const { send } = await guarded(cleanups, '{ type: mtls }', { top: 'trustedProxies: [127.0.0.1]' })
  expect(await send({ headers: FORGED })).toMatchObject({ status: 403, code: 'GW_AUTH_CERTIFICATE' })
})

test('and it does not get to services, which may believe it', async () => {
  const filters = '{ type: mtls, allow: missing, headers: { x-client-cert-cn: claims.commonName } }'
  const { send } = await guarded(cleanups, filters)
  const { status, arrived } = await send({ headers: FORGED })
  expect(status).toBe(200)
  for (const name of Object.keys(FORGED)) expect(arrived?.headers).not.toHaveProperty(name)
})

test('without any filter, too', async () => {
  const { send } = await guarded(cleanups, '')
  const { arrived } = await send({ headers: { 'x-forwarded-client-cert': XFCC, 'client-cert': ':AAAA:' } })
  expect(arrived?.headers).not.toHaveProperty('x-forwarded-client-cert')
  expect(arrived?.headers).not.toHaveProperty('client-cert')
})

test('the element of a client in front of the trusted proxy is not the one that counts', async () => {
  const filters = `{ type: mtls, forwarded: true, fingerprints: [${'ab'.repeat(32)}] }`
  const { send } = await guarded(cleanups, filters, { top: 'trustedProxies: [127.0.0.1]' })
  const field = `${XFCC},Hash=${'cd'.repeat(32)};Subject="CN=stranger"`
  const answer = await send({ headers: { 'x-forwarded-client-cert': field } })
  expect(answer).toMatchObject({ status: 403, code: 'GW_AUTH_CERTIFICATE_REFUSED' })
  const quoted = `Hash=${'cd'.repeat(32)};Subject="CN=stranger\\",Hash=${'ab'.repeat(32)};Subject=\\"CN=admin"`
  const tricked = await send({ headers: { 'x-forwarded-client-cert': quoted } })
  expect(tricked).toMatchObject({ status: 403, code: 'GW_AUTH_CERTIFICATE_REFUSED' })
})
