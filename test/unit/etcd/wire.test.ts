import fc from 'fast-check'
import { expect, test } from 'vitest'
import { etcdEnvironment } from '../../../src/core/etcd-environment.ts'
import { markKey, recordKey } from '../../../src/etcd/own-keys.ts'
import {
  isCompacted,
  isMemberFault,
  prefixEnd,
  prefixRange,
  readCancelReason,
  readRefusal,
  refusalError,
  wantsLogin,
} from '../../../src/etcd/wire.ts'
import { ownLayout } from '../../../src/registry/etcd-layout.ts'

test('a prefix ends right behind all keys that begin with it', () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 1, unit: 'binary' }),
      fc.string({ unit: 'binary' }),
      (prefix, rest) => {
        const end = Buffer.from(prefixEnd(prefix), 'base64')
        const key = Buffer.from(prefix + rest)
        // A prefix of 0xff alone has no end; text never is.
        return Buffer.compare(key, end) < 0 && Buffer.compare(Buffer.from(prefix), end) < 0
      },
    ),
  )
  expect(Buffer.from(prefixEnd('/a/'), 'base64').toString()).toBe('/a0')
  expect(prefixRange('')).toEqual({ key: 'AA==', range_end: 'AA==' })
})

test('keys of the own layout are read back, whatever the names', () => {
  const layout = ownLayout('main', '/sluice')
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (service, id) => {
      const value = '{"url":"http://a:1"}'
      const entry = { value, modRevision: 1, lease: undefined }
      const record = layout.read({ ...entry, key: recordKey('/sluice', service, id) })
      const mark = layout.read({ ...entry, key: markKey('/sluice', service, id) })
      expect(record).toMatchObject({ kind: 'instances', service, instances: [{ id }] })
      expect(mark).toMatchObject({ kind: 'mark', service, id })
    }),
  )
})

const answer = (error: string, code: number) => JSON.stringify({ error, message: error, code })

test.each([
  [403, answer('etcdserver: permission denied', 7), 'GW_REGISTRY_ACL', 'give the user’s role the right'],
  [400, answer('etcdserver: user name is empty', 3), 'GW_REGISTRY_ACL', 'set username and password'],
  [
    400,
    answer('etcdserver: authentication failed, invalid user ID or password', 3),
    'GW_REGISTRY_ACL',
    'login',
  ],
  [
    400,
    'CommonName of client sending a request against gateway will be ignored',
    'GW_REGISTRY_ACL',
    'without a common name',
  ],
  [401, answer('etcdserver: invalid auth token', 16), 'GW_REGISTRY_ACL', 'invalid auth token'],
  [503, answer('etcdserver: request timed out', 14), 'GW_REGISTRY_TIMEOUT', 'no quorum?'],
  [500, answer('context deadline exceeded', 2), 'GW_REGISTRY_TIMEOUT', 'no quorum?'],
  [503, answer('etcdserver: no leader', 14), 'GW_REGISTRY_UNREACHABLE', 'no leader'],
  [404, '404 page not found\n', 'GW_REGISTRY_ANSWER', 'is it etcd 3.4 or newer'],
  [400, answer('etcdserver: duplicate key given in txn request', 3), 'GW_REGISTRY_ANSWER', 'duplicate key'],
])('%i %s is %s', (status, text, code, words) => {
  const error = refusalError(readRefusal(status, text), 'login of gw')
  expect(error.code).toBe(code)
  expect(error.message).toContain(words)
})

test('the reason of a cancelled watch is read like an answer', () => {
  const lost = readCancelReason('rpc error: code = Unauthenticated desc = etcdserver: invalid auth token')
  expect(wantsLogin(lost)).toBe(true)
  const empty = readCancelReason('rpc error: code = InvalidArgument desc = etcdserver: user name is empty')
  expect(wantsLogin(empty)).toBe(true)
  const denied = readCancelReason('rpc error: code = PermissionDenied desc = etcdserver: permission denied')
  expect(wantsLogin(denied)).toBe(false)
  expect(refusalError(denied, 'watch /a').code).toBe('GW_REGISTRY_ACL')
  expect(readCancelReason('something else')).toEqual({ code: 0, words: 'something else' })
})

test('another member is asked when this one is at fault, not when the call is', () => {
  expect(isMemberFault(readRefusal(503, answer('etcdserver: no leader', 14)))).toBe(true)
  expect(isMemberFault(readRefusal(500, answer('context deadline exceeded', 2)))).toBe(true)
  expect(isMemberFault(readRefusal(403, answer('etcdserver: permission denied', 7)))).toBe(false)
  expect(
    isCompacted(readRefusal(400, answer('etcdserver: mvcc: required revision has been compacted', 11))),
  ).toBe(true)
})

test('etcd’s own variables', () => {
  expect(etcdEnvironment({})).toEqual({ endpoints: ['http://127.0.0.1:2379'] })
  expect(
    etcdEnvironment({
      ETCDCTL_ENDPOINTS: 'a:1, https://b:2',
      ETCDCTL_USER: 'gw',
      ETCDCTL_PASSWORD: 'x',
      ETCDCTL_KEY: 'k',
    }),
  ).toEqual({ endpoints: ['http://a:1', 'https://b:2'], username: 'gw', password: 'x', key: 'k' })
  expect(etcdEnvironment({ ETCDCTL_PASSWORD: 'x', ETCDCTL_USER: '' })).toEqual({
    endpoints: ['http://127.0.0.1:2379'],
  })
})
