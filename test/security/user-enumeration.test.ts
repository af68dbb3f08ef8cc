import { beforeAll, expect, test } from 'vitest'
import { hashScrypt } from '../../src/identity/password-hash.ts'
import { useCleanups } from '../support/cleanup.ts'
import { basicOf, guarded } from '../support/guarded.ts'

const cleanups = useCleanups()
let hash: string
beforeAll(async () => {
  hash = await hashScrypt('right')
})
const filter = (own = '') =>
  `{ type: basic, ${own} users: [{ name: anna, hash: "${hash}" }, { name: off, hash: "${hash}", disabled: true }] }`

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1] as number

test('a name that does not exist costs the time of one that does', async () => {
  const { send } = await guarded(cleanups, filter())
  const timeOf = async (user: string) => {
    const times: number[] = []
    for (let i = 0; i < 5; i++) {
      const started = performance.now()
      await send({ headers: { authorization: basicOf(user, `wrong ${i}`) } })
      times.push(performance.now() - started)
    }
    return median(times)
  }
  const [known, unknown, disabled] = [await timeOf('anna'), await timeOf('nobody'), await timeOf('off')]
  // Without a hash to compute it would be a fiftieth.
  expect(unknown).toBeGreaterThan(known / 3)
  expect(disabled).toBeGreaterThan(known / 3)
})

test('also when the same request comes again: nothing about it is remembered', async () => {
  const { send } = await guarded(cleanups, filter('cache: 1m,'))
  const twice = async (user: string) => {
    const request = { headers: { authorization: basicOf(user, 'right') } }
    await send(request)
    const started = performance.now()
    const { status } = await send(request)
    return { status, ms: performance.now() - started }
  }
  const known = await twice('anna')
  const unknown = await twice('nobody')
  expect([known.status, unknown.status]).toEqual([200, 401])
  // The unknown name was compared with a hash that this password has.
  expect(unknown.ms).toBeGreaterThan(known.ms * 3)
})

test('the answer is the same', async () => {
  const { send } = await guarded(cleanups, filter())
  const answerTo = async (user: string, password: string) => {
    const { status, code, detail, headers } = await send({
      headers: { authorization: basicOf(user, password) },
    })
    return { status, code, detail, challenge: headers['www-authenticate'] }
  }
  const unknown = await answerTo('nobody', 'x')
  expect(unknown).toMatchObject({ status: 401, code: 'GW_AUTH_INVALID' })
  expect(await answerTo('anna', 'x')).toEqual(unknown)
  expect(await answerTo('off', 'right')).toEqual(unknown)
})
