import { expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { startTokenGateway } from '../support/token-gateway.ts'

/** CVE-2020-8911 and the like: the client sends the header that the service believes to be the gateway's. */

const cleanups = useCleanups()
const filter = 'headers: { x-user-id: id, x-roles: roles, x-name: claims.name }'
const SPELLINGS = ['X-User-Id', 'x-user-id', 'X-USER-ID', 'X_User_Id', 'x_user-id', 'x-user_id', 'X_USER_ID']

const fieldsOf = (seen: string) =>
  seen
    .split('\r\n')
    .slice(1)
    .filter((line) => line.includes(':'))
    .map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()])

test('a client’s own copies never reach a service, whatever their spelling, also on routes without the filter', async () => {
  const { send, good } = await startTokenGateway(cleanups, { filter })
  for (const name of SPELLINGS) {
    const lines = `${name}: root\r\n${name}: root2\r\n`
    const guarded = await send(`Authorization: Bearer ${good()}\r\n${lines}`)
    const users = fieldsOf(guarded.seen).filter(([key = '']) => key.replaceAll('_', '-') === 'x-user-id')
    expect([name, users]).toEqual([name, [['x-user-id', 'alice']]])
    const open = await send(lines, '/open/x')
    expect(open.status).toBe(200)
    expect(open.seen).not.toContain('root')
  }
})

test('a header whose claim is missing is not there at all', async () => {
  const { send, good } = await startTokenGateway(cleanups, { filter })
  const { seen } = await send(`Authorization: Bearer ${good()}\r\nX-Roles: admin\r\nX-Name: x\r\n`)
  expect(seen).toContain('x-user-id: alice')
  expect(seen.toLowerCase()).not.toMatch(/x-roles|x-name|admin/)
})

test('nobody becomes somebody: without a token the headers are gone, too', async () => {
  const { send } = await startTokenGateway(cleanups, { filter: `${filter}, allow: missing` })
  const { status, seen } = await send('X-User-Id: root\r\n')
  expect(status).toBe(200)
  expect(seen).not.toContain('root')
})

test('a claim cannot break out of its header or of its place in a list', async () => {
  const { bearer, good } = await startTokenGateway(cleanups, { filter })
  const { seen } = await bearer(
    good({
      sub: 'a\r\nX-Admin: 1\r\n\r\nGET /evil HTTP/1.1',
      roles: ['user', 'x,admin', 'y\n,admin', 'é%'],
      name: ' José \0 ',
    }),
  )
  const fields = new Map(fieldsOf(seen).map(([key = '', value = '']) => [key, value]))
  expect(fields.has('x-admin')).toBe(false)
  expect(seen.split('\r\n').filter((line) => line.includes('HTTP/1.1'))).toHaveLength(2)
  expect(fields.get('x-user-id')).toBe('a%0D%0AX-Admin: 1%0D%0A%0D%0AGET /evil HTTP/1.1')
  expect(fields.get('x-roles')).toBe('user,x%2Cadmin,y%0A%2Cadmin,%C3%A9%25')
  expect(fields.get('x-name')).toBe('%20Jos%C3%A9 %00%20')
  const roles = (fields.get('x-roles') ?? '').split(',').map(decodeURIComponent)
  expect(roles).toEqual(['user', 'x,admin', 'y\n,admin', 'é%'])
})

test('claims of the prototype and nested objects make no header', async () => {
  const own =
    'headers: { x-a: claims.constructor, x-b: claims.__proto__.x, x-c: claims.nested, x-d: claims.list }'
  const { bearer, good } = await startTokenGateway(cleanups, { filter: own })
  const { seen, status } = await bearer(good({ nested: { a: 1 }, list: ['a', { b: 1 }] }))
  expect(status).toBe(200)
  expect(seen.toLowerCase()).not.toMatch(/^x-[abcd]:/m)
})
