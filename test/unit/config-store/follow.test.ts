import { expect, test } from 'vitest'
import { RevisionFollower } from '../../../src/config-store/follow.ts'
import type { ConfigKv, KeyValue } from '../../../src/config-store/kv.ts'
import { Revisions } from '../../../src/config-store/revisions.ts'
import { waitFor } from '../../support/wait.ts'

type Watch = { under: string; tell: (entries: readonly KeyValue[]) => void; signal: AbortSignal }

/** A store whose watches tell only what the test says. */
function memoryKv() {
  const keys = new Map<string, KeyValue>()
  const watches: Watch[] = []
  let index = 0
  const under = (prefix: string) => [...keys.values()].filter(({ key }) => key.startsWith(prefix))
  const kv: ConfigKv = {
    label: 'memory',
    prefix: 'p/',
    list: async (prefix) => under(prefix),
    async write(key, value, expected) {
      if (expected !== undefined && (keys.get(key)?.index ?? 0) !== expected) return false
      keys.set(key, { key, value, index: ++index })
      return true
    },
    remove: async (key) => void keys.delete(key),
    watch: (prefix, tell, _onError, signal) =>
      new Promise((resolve) => {
        watches.push({ under: prefix, tell, signal })
        tell(under(prefix))
        signal.addEventListener('abort', () => resolve())
      }),
    close: async () => {},
  }
  const pointerWatch = () => watches.find((watch) => watch.under === 'current') as Watch
  return { kv, keys, under, tellPointer: (entries: readonly KeyValue[]) => pointerWatch().tell(entries) }
}

const draft = { at: 1, by: 'ann', message: '', isForced: false }
const files = (text: string) => new Map([['routes.d/shop.yaml', text]])

async function followed() {
  const memory = memoryKv()
  const revisions = new Revisions(memory.kv)
  const push = async (text: string) => {
    await revisions.push(files(text), draft, await revisions.state())
    return memory.under('current')
  }
  const seen: string[] = []
  const abort = new AbortController()
  const start = () => {
    const handlers = {
      onRevision: ({ record }: { record: { revision: number } }) => void seen.push(`r${record.revision}`),
      onBroken: (key: string) => void seen.push(`broken ${key}`),
      onAlive: () => void seen.push('alive'),
      onEmpty: () => void seen.push('empty'),
      onError: (text: string) => void seen.push(`error ${text}`),
    }
    return new RevisionFollower(memory.kv, handlers, undefined, abort.signal).run()
  }
  return { ...memory, revisions, push, seen, start, abort }
}

test('an older pointer of a server that lags turns nothing back; one that the leader confirms does', async () => {
  const { push, seen, start, abort, tellPointer, kv, keys } = await followed()
  const first = await push('one')
  await push('two')
  const running = start()
  await waitFor(() => seen.at(-1) === 'r2')
  tellPointer(first)
  await waitFor(() => seen.at(-1) === 'alive')
  expect(seen).not.toContain('r1')
  tellPointer([])
  await waitFor(() => seen.filter((one) => one === 'alive').length === 2)
  expect(seen).not.toContain('empty')
  // A backup was restored.
  await kv.write('current', first[0]?.value ?? '')
  tellPointer(first)
  await waitFor(() => seen.at(-1) === 'r1')
  keys.clear()
  tellPointer([])
  await waitFor(() => seen.at(-1) === 'empty')
  abort.abort()
  await running
})

test('a pointer that nobody can read is told with its key', async () => {
  const { push, seen, start, abort, kv, tellPointer, under } = await followed()
  await push('one')
  const running = start()
  await waitFor(() => seen.at(-1) === 'r1')
  await kv.write('current', 'no json')
  tellPointer(under('current'))
  await waitFor(() => seen.at(-1) === 'broken current')
  abort.abort()
  await running
})

test('a write whose answer was lost counts when the key has it', async () => {
  const { kv, revisions } = await followed()
  const write = kv.write.bind(kv)
  const lossy: ConfigKv = {
    ...kv,
    async write(key, value, index) {
      const done = await write(key, value, index)
      if (key === 'current') throw new TypeError('the answer was lost')
      return done
    },
  }
  const outcome = await new Revisions(lossy).push(files('x'), draft, await revisions.state())
  expect(outcome).toMatchObject({ kind: 'done', record: { revision: 1 } })
})

test('a conflict takes away what the loser wrote, unless the winner wrote the same', async () => {
  const { revisions, under } = await followed()
  const state = await revisions.state()
  await revisions.push(files('a'), { ...draft, by: 'ann' }, state)
  const lost = await revisions.push(files('b'), { ...draft, by: 'bob' }, state)
  expect(lost).toMatchObject({ kind: 'conflict', state: { revisions: [{ by: 'ann' }] } })
  expect(under('trees/')).toHaveLength(2)
  expect(await revisions.push(files('a'), draft, state)).toMatchObject({ kind: 'conflict' })
  expect((await revisions.newest())?.files).toEqual(files('a'))
})

test('the content of a revision that is not kept any more is removed', async () => {
  const { push, revisions, under } = await followed()
  for (let n = 0; n < 22; n++) await push(`${n}`)
  expect((await revisions.state()).revisions).toHaveLength(20)
  expect(under('trees/')).toHaveLength(40)
})
