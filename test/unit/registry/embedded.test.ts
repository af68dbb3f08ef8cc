import { expect, test } from 'vitest'
import { registration } from '../../../src/registry/embedded-registration.ts'

const withTtl = (ttl: string) => registration.safeParse({ Name: 'shop', Port: 80, Check: { TTL: ttl } })

test.each([
  ['10s', 10_000],
  ['500ms', 500],
  ['1m0s', 60_000],
  ['1h2m3.5s', 3_723_500],
  ['0', 0],
])('a TTL of %s is taken, as Go clients write it', (ttl, ms) => {
  expect(withTtl(ttl).data?.Check?.TTL).toBe(ms)
})

test.each(['', '10', '10 s', '1m0', 's', '1.2.3s'])('a TTL of "%s" is refused', (ttl) => {
  expect(withTtl(ttl).success).toBe(false)
})
