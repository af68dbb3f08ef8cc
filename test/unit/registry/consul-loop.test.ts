import { expect, test } from 'vitest'
import { GatewayError } from '../../../src/core/errors.ts'
import type { ConsulAnswer } from '../../../src/registry/consul-client.ts'
import { nextIndex, runLoop, TokenBucket } from '../../../src/registry/consul-loop.ts'
import { ReadQueue } from '../../../src/registry/consul-sweep.ts'
import { CheckTrigger } from '../../../src/registry/consul-trigger.ts'

const never = new AbortController().signal
const clock = { now: () => 0, monotonic: () => 0 }
const answer = (index: number): ConsulAnswer => ({
  index,
  lagMs: 0,
  hasLeader: true,
  isFiltered: false,
  text: '',
})

/** Runs a loop over scripted answers; gives the indexes that it asked with. */
async function asked(script: (number | 'error')[]): Promise<number[]> {
  const abort = new AbortController()
  const indexes: number[] = []
  await runLoop(
    {
      read: async (index) => {
        indexes.push(index)
        const next = script.shift()
        if (script.length === 0) abort.abort()
        if (next === 'error') throw new GatewayError('GW_REGISTRY_UNREACHABLE')
        return answer(next ?? 0)
      },
      onAnswer: () => {},
      onError: () => {},
      restart: () => never,
      wake: () => AbortSignal.abort(),
    },
    { clock, random: () => 0 },
    abort.signal,
  )
  return indexes
}

test('a blocking read asks with the index of the last answer', async () => {
  expect(await asked([7, 9, 9])).toEqual([0, 7, 9])
})

test('an index that goes backwards starts again from 0', async () => {
  expect(await asked([7, 3, 4])).toEqual([0, 7, 0])
})

test('after an error the index is 0, even if Consul would have the same one again', async () => {
  expect(await asked([7, 'error', 7, 7])).toEqual([0, 7, 0, 7])
})

test('an index of 0 does not make a busy loop', () => {
  expect(nextIndex(0, 0)).toBe(1)
  expect(nextIndex(1, 0)).toBe(0)
})

test('an answer that cannot be used is an error like others', async () => {
  const abort = new AbortController()
  const errors: string[] = []
  const indexes: number[] = []
  await runLoop(
    {
      read: async (index) => {
        indexes.push(index)
        return answer(5)
      },
      onAnswer: () => {
        throw new GatewayError('GW_REGISTRY_ANSWER', 'no list')
      },
      onError: ({ message }) => {
        errors.push(message)
        if (errors.length === 2) abort.abort()
      },
      restart: () => never,
      wake: () => AbortSignal.abort(),
    },
    { clock, random: () => 0 },
    abort.signal,
  )
  expect(errors).toEqual(['no list', 'no list'])
  expect(indexes).toEqual([0, 0])
})

test('a restart ends a blocked read without counting it as an error', async () => {
  const abort = new AbortController()
  let restart = new AbortController()
  const indexes: number[] = []
  const errors: unknown[] = []
  await runLoop(
    {
      read: (index, signal) => {
        indexes.push(index)
        if (index === 0) {
          if (indexes.length > 1) abort.abort()
          return Promise.resolve(answer(7))
        }
        return new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason))
          const old = restart
          restart = new AbortController()
          old.abort()
        })
      },
      onAnswer: () => {},
      onError: (error) => errors.push(error),
      restart: () => restart.signal,
    },
    { clock, random: () => 0 },
    abort.signal,
  )
  expect(indexes).toEqual([0, 7, 0])
  expect(errors).toEqual([])
})

test('a watch may ask five times at once, then twice a second', () => {
  let now = 0
  const bucket = new TokenBucket({ now: () => now, monotonic: () => now })
  const waits = Array.from({ length: 7 }, () => bucket.take())
  expect(waits).toEqual([0, 0, 0, 0, 0, 500, 1000])
  now = 60_000
  expect(bucket.take()).toBe(0)
})

const check = (ServiceName: string, Status: string, more: object = {}) => ({
  Node: 'n1',
  CheckID: `c:${ServiceName}`,
  ServiceName,
  ServiceID: ServiceName,
  Status,
  ModifyIndex: 1,
  ...more,
})

test('the trigger names the services whose checks changed, appeared or went away', () => {
  const trigger = new CheckTrigger()
  expect(
    trigger.update([check('a', 'passing'), check('b', 'passing'), check('c', 'passing')]),
  ).toBeUndefined()
  const changes = trigger.update([check('d', 'passing'), check('b', 'critical'), check('a', 'passing')])
  expect([...(changes?.services ?? [])].sort()).toEqual(['b', 'c', 'd'])
  expect(changes?.nodes.size).toBe(0)
})

test('the trigger names the node for a check of the node', () => {
  const trigger = new CheckTrigger()
  const node = (Status: string) => ({ ...check('', Status), CheckID: 'serfHealth' })
  trigger.update([node('passing'), check('a', 'passing')])
  const changes = trigger.update([node('critical'), check('a', 'passing')])
  expect([...(changes?.nodes ?? [])]).toEqual(['n1'])
  expect(changes?.services.size).toBe(0)
})

test('after a reset the trigger does not trust what it knew', () => {
  const trigger = new CheckTrigger()
  trigger.update([check('a', 'passing')])
  trigger.reset()
  expect(trigger.update([check('a', 'passing')])).toBeUndefined()
})

test('reads run at most 8 at once, and a name marked while it is read is read again', async () => {
  const waiting = new Map<string, (isGood: boolean) => void>()
  const reads: string[] = []
  const read = (name: string) => {
    reads.push(name)
    return new Promise<boolean>((resolve) => waiting.set(name, resolve))
  }
  const finish = async (name: string) => {
    waiting.get(name)?.(true)
    await new Promise(setImmediate)
  }
  const queue = new ReadQueue(read, () => 0, never)
  for (let i = 0; i < 10; i++) queue.mark(`s${i}`)
  expect(reads).toHaveLength(8)
  queue.mark('s0')
  expect(reads).toHaveLength(8)
  await finish('s0')
  expect(reads).toHaveLength(9)
  for (const name of ['s1', 's2']) await finish(name)
  expect(reads.filter((name) => name === 's0')).toHaveLength(2)
  expect(new Set(reads).size).toBe(10)
})
