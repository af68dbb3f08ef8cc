import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { GatewayError } from '../../../src/core/errors.ts'
import type { KeyCacheFile } from '../../../src/identity/key-cache-file.ts'
import { RemoteKeys } from '../../../src/identity/remote-keys.ts'
import { notingProviderDeps } from '../../support/provider-deps.ts'
import { jwksOf, makeKey, type TokenKey } from '../../support/tokens.ts'

const MINUTE = 60_000
const one = makeKey('EdDSA', 'one')
const two = makeKey('EdDSA', 'two')

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

type Answer = readonly TokenKey[] | string | 'away' | 'silent'

/** An issuer that is a function; what it says can be changed. */
function setUp(own: { cacheFile?: KeyCacheFile; maxStaleMs?: number } = {}) {
  const deps = notingProviderDeps()
  const issuer = { says: [one] as Answer, asked: 0 }
  const release: (() => void)[] = []
  const keys = new RemoteKeys(
    {
      name: 'login',
      cacheMs: 10 * MINUTE,
      maxStaleMs: own.maxStaleMs ?? 24 * 60 * MINUTE,
      cacheFile: own.cacheFile,
      close: async () => {
        for (const each of release) each()
      },
      async fetch() {
        issuer.asked++
        if (issuer.says === 'silent') await new Promise<void>((resolve) => void release.push(resolve))
        if (issuer.says === 'away') throw new GatewayError('GW_IDENTITY_UNREACHABLE', 'away')
        return Buffer.from(typeof issuer.says === 'string' ? issuer.says : jwksOf(...issuer.says))
      },
    },
    deps,
  )
  const kids = () => keys.current()?.keys.map(({ kid }) => kid)
  return { ...deps, issuer, keys, kids, release }
}

describe('keys of an issuer', () => {
  test('are there after the start and are got again before they are old', async () => {
    const { keys, kids, issuer, fetched } = setUp()
    await keys.start()
    expect(kids()).toEqual(['one'])
    issuer.says = [two]
    await vi.advanceTimersByTimeAsync(7 * MINUTE)
    expect(kids()).toEqual(['one'])
    await vi.advanceTimersByTimeAsync(2 * MINUTE)
    expect(kids()).toEqual(['two'])
    expect(fetched).toEqual(['login ok', 'login ok'])
    await keys.close()
  })

  test('stay while the issuer is away, which is asked again with growing waits', async () => {
    const { keys, kids, issuer, fetched } = setUp()
    await keys.start()
    issuer.says = 'away'
    await vi.advanceTimersByTimeAsync(8 * MINUTE)
    expect(issuer.asked).toBe(2)
    await vi.advanceTimersByTimeAsync(1000)
    expect(issuer.asked).toBe(3)
    await vi.advanceTimersByTimeAsync(60 * MINUTE)
    // A minute at the longest, three quarters of it by the middle of the jitter.
    expect(issuer.asked).toBeGreaterThan(60)
    expect(issuer.asked).toBeLessThan(100)
    expect(kids()).toEqual(['one'])
    expect(keys.ageSeconds()).toBeCloseTo(68 * 60 + 1, 0)
    expect(fetched.at(-1)).toBe('login failed')
    issuer.says = [two]
    await vi.advanceTimersByTimeAsync(MINUTE)
    expect(kids()).toEqual(['two'])
    await keys.close()
  })

  test('are not believed for ever', async () => {
    const { keys, kids, issuer } = setUp({ maxStaleMs: 60 * MINUTE })
    await keys.start()
    issuer.says = 'away'
    await vi.advanceTimersByTimeAsync(60 * MINUTE)
    expect(kids()).toEqual(['one'])
    await vi.advanceTimersByTimeAsync(1)
    expect(kids()).toBeUndefined()
    await keys.close()
  })

  test.each([['<html>'], ['{"keys":[]}'], ['{"keys":[{"kty":"oct","k":"AAAA"}]}']])(
    'are not replaced by %s',
    async (document) => {
      const { keys, kids, issuer, fetched, warnings } = setUp()
      await keys.start()
      issuer.says = document
      await vi.advanceTimersByTimeAsync(8 * MINUTE)
      expect(kids()).toEqual(['one'])
      expect(fetched).toEqual(['login ok', 'login rejected'])
      expect(warnings.join()).toContain('not got')
      await keys.close()
    },
  )

  test('that are broken are left out with one warning, not with one each fetch', async () => {
    const { keys, kids, issuer, warnings } = setUp()
    issuer.says = JSON.stringify({ keys: [{ kty: 'oct' }, one.jwk] })
    await keys.start()
    await vi.advanceTimersByTimeAsync(30 * MINUTE)
    expect(issuer.asked).toBe(4)
    expect(kids()).toEqual(['one'])
    expect(warnings).toHaveLength(1)
    await keys.close()
  })
})

describe('a start', () => {
  test('waits for the first keys, but not long', async () => {
    const { keys, issuer, kids, release } = setUp()
    issuer.says = 'silent'
    let isStarted = false
    const started = keys.start().then(() => {
      isStarted = true
    })
    await vi.advanceTimersByTimeAsync(2999)
    expect(isStarted).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    await started
    expect(kids()).toBeUndefined()
    // The answer that comes late is taken all the same.
    issuer.says = [one]
    for (const each of release) each()
    await vi.advanceTimersByTimeAsync(0)
    expect(kids()).toEqual(['one'])
    await keys.close()
  })

  test('with an issuer that is away ends at once; the keys come when it is back', async () => {
    const { keys, issuer, kids } = setUp()
    issuer.says = 'away'
    await keys.start()
    expect(kids()).toBeUndefined()
    issuer.says = [one]
    await vi.advanceTimersByTimeAsync(1000)
    expect(kids()).toEqual(['one'])
    await keys.close()
  })

  test('takes keys from the disk and does not wait then', async () => {
    const written: string[] = []
    const cacheFile: KeyCacheFile = {
      read: async () => ({ document: Buffer.from(jwksOf(one)), savedAt: Date.now() - MINUTE }),
      write: async (document) => void written.push(Buffer.from(document).toString()),
    }
    const { keys, issuer, kids, release } = setUp({ cacheFile })
    issuer.says = 'silent'
    await keys.start()
    expect(kids()).toEqual(['one'])
    expect(keys.ageSeconds()).toBeCloseTo(60, 0)
    issuer.says = [two]
    for (const each of release) each()
    await vi.advanceTimersByTimeAsync(0)
    expect(kids()).toEqual(['two'])
    expect(written).toEqual([jwksOf(two)])
    await keys.close()
  })

  test('takes no keys from the disk that are too old or no keys', async () => {
    const at = (savedAt: number, text: string): KeyCacheFile => ({
      read: async () => ({ document: Buffer.from(text), savedAt }),
      write: async () => {},
    })
    for (const cacheFile of [at(Date.now() - 25 * 60 * MINUTE, jwksOf(one)), at(Date.now(), '{}')]) {
      const { keys, issuer, kids } = setUp({ cacheFile })
      issuer.says = 'away'
      await keys.start()
      expect(kids()).toBeUndefined()
      await keys.close()
    }
  })
})

describe('a key that nobody knows', () => {
  test('makes one fetch in 30 s, however many ask', async () => {
    const { keys, issuer, kids } = setUp()
    await keys.start()
    issuer.says = [one, two]
    const answers = await Promise.all(Array.from({ length: 500 }, () => keys.refetch(() => false)))
    expect(new Set(answers)).toEqual(new Set([true]))
    expect(issuer.asked).toBe(2)
    expect(kids()).toEqual(['one', 'two'])
    await vi.advanceTimersByTimeAsync(29_999)
    await keys.refetch(() => false)
    expect(issuer.asked).toBe(2)
    await vi.advanceTimersByTimeAsync(1)
    await keys.refetch(() => false)
    expect(issuer.asked).toBe(3)
    await keys.close()
  })

  test('is asked for again when a fetch was on its way before it was published; once for all who wait', async () => {
    const { keys, issuer, kids, release } = setUp()
    await keys.start()
    issuer.says = 'silent'
    await vi.advanceTimersByTimeAsync(8 * MINUTE)
    expect(issuer.asked).toBe(2)
    const isThere = () => kids()?.includes('two') === true
    const answers = Promise.all(Array.from({ length: 100 }, () => keys.refetch(isThere)))
    // The one under way brings the old keys, the next one the new ones.
    issuer.says = [one]
    for (const each of release) each()
    await vi.advanceTimersByTimeAsync(0)
    expect(new Set(await answers)).toEqual(new Set([true]))
    expect(issuer.asked).toBe(3)
    issuer.says = [one, two]
    expect(await keys.refetch(isThere)).toBe(true)
    expect([issuer.asked, kids()]).toEqual([3, ['one']])
    await vi.advanceTimersByTimeAsync(30_000)
    await keys.refetch(isThere)
    expect([issuer.asked, kids()]).toEqual([4, ['one', 'two']])
    await keys.close()
  })

  test('is told from an issuer that is away, also within the 30 s', async () => {
    const { keys, issuer } = setUp()
    await keys.start()
    issuer.says = 'away'
    expect(await keys.refetch(() => false)).toBe(false)
    expect(await keys.refetch(() => false)).toBe(false)
    expect(issuer.asked).toBe(2)
    await keys.close()
  })

  test('does not hold a request for longer than 3 s', async () => {
    const { keys, issuer } = setUp()
    await keys.start()
    issuer.says = 'silent'
    let answer: boolean | undefined
    void keys
      .refetch(() => false)
      .then((value) => {
        answer = value
      })
    await vi.advanceTimersByTimeAsync(2999)
    expect(answer).toBeUndefined()
    await vi.advanceTimersByTimeAsync(1)
    expect(answer).toBe(false)
    await keys.close()
  })
})

test('closed: nothing is fetched any more', async () => {
  const { keys, issuer } = setUp()
  await keys.start()
  await keys.close()
  expect(await keys.refetch(() => false)).toBe(false)
  await vi.advanceTimersByTimeAsync(60 * MINUTE)
  expect(issuer.asked).toBe(1)
  expect(vi.getTimerCount()).toBe(0)
})
