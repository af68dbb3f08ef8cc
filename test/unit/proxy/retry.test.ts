import { expect, test } from 'vitest'
import type { RetryPolicy } from '../../../src/core/route.ts'
import { FrameTracker } from '../../../src/proxy/frame-tracker.ts'
import {
  classifyFailure,
  mayRetryFailure,
  mayRetryStatus,
  type RetryShape,
  retryAfterMs,
  retryDelayMs,
} from '../../../src/proxy/retry.ts'
import { aPolicy } from '../../support/exchange.ts'

const POLICY: RetryPolicy = aPolicy().retries
const shape = (own: Partial<RetryShape> = {}): RetryShape => ({
  method: 'GET',
  hasIdempotencyKey: false,
  canReplay: true,
  isInnerLayer: false,
  ...own,
})

test('what was never written may be tried again with any method', () => {
  expect(mayRetryFailure('connect-failure', shape({ method: 'POST' }), POLICY)).toBe(true)
  expect(mayRetryFailure('connect-failure', shape({ method: 'POST', canReplay: false }), POLICY)).toBe(false)
  expect(mayRetryFailure('connect-failure', shape({ isInnerLayer: true }), POLICY)).toBe(true)
  expect(mayRetryFailure('connect-failure', shape(), { ...POLICY, on: ['reset'] })).toBe(false)
})

test.each([
  ['GET', true],
  ['HEAD', true],
  ['PUT', true],
  ['DELETE', true],
  ['OPTIONS', true],
  ['POST', false],
  ['PATCH', false],
  ['BREW', false],
])('a reset of %s may be tried again: %s', (method, expected) => {
  expect(mayRetryFailure('reset', shape({ method }), POLICY)).toBe(expected)
  expect(mayRetryFailure('stale', shape({ method }), POLICY)).toBe(expected)
})

test('Idempotency-Key counts only where the policy says so', () => {
  const post = shape({ method: 'POST', hasIdempotencyKey: true })
  expect(mayRetryFailure('reset', post, POLICY)).toBe(false)
  expect(mayRetryFailure('reset', post, { ...POLICY, idempotencyKey: true })).toBe(true)
})

test('an inner gateway does not multiply the retries of an outer one', () => {
  expect(mayRetryFailure('reset', shape({ isInnerLayer: true }), POLICY)).toBe(false)
  expect(mayRetryStatus(503, shape({ isInnerLayer: true }), { ...POLICY, on: ['5xx'] })).toBe(false)
})

test('statuses are a reason only when asked for, and only for what can be repeated', () => {
  expect(mayRetryStatus(503, shape(), POLICY)).toBe(false)
  expect(mayRetryStatus(503, shape(), { ...POLICY, on: ['gateway-error'] })).toBe(true)
  expect(mayRetryStatus(500, shape(), { ...POLICY, on: ['gateway-error'] })).toBe(false)
  expect(mayRetryStatus(500, shape(), { ...POLICY, on: ['5xx'] })).toBe(true)
  expect(mayRetryStatus(429, shape(), { ...POLICY, statuses: [429] })).toBe(true)
  expect(mayRetryStatus(200, shape(), { ...POLICY, statuses: [200] })).toBe(false)
  expect(mayRetryStatus(503, shape({ method: 'POST' }), { ...POLICY, on: ['5xx'] })).toBe(false)
})

const fault = (code: string, more: object = {}) => Object.assign(new TypeError(code), { code, ...more })

test.each([
  ['ECONNREFUSED', false, 'connect_failed', 'connect-failure'],
  ['UND_ERR_CONNECT_TIMEOUT', false, 'connect_timeout', 'connect-failure'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', false, 'tls_failed', 'connect-failure'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', false, 'tls_failed', 'connect-failure'],
  ['ECONNRESET', true, 'reset', 'reset'],
  ['UND_ERR_HEADERS_TIMEOUT', true, 'header_timeout', 'timeout'],
  ['UND_ERR_BODY_TIMEOUT', true, 'idle_timeout', undefined],
  ['HPE_INVALID_CONSTANT', true, 'upstream_protocol', undefined],
])('%s (written: %s) is %s', (code, wasWritten, outcome, cause) => {
  expect(classifyFailure(fault(code), { wasWritten, wasAnswered: false })).toMatchObject({ outcome, cause })
})

test('a reset on a socket that answered before is stale, one after the answer began is final', () => {
  const used = fault('UND_ERR_SOCKET', { socket: { bytesRead: 300 } })
  expect(classifyFailure(used, { wasWritten: true, wasAnswered: false }).cause).toBe('stale')
  expect(classifyFailure(used, { wasWritten: true, wasAnswered: true }).cause).toBeUndefined()
})

test('the wait before a retry is jittered, grows and is capped', () => {
  expect(retryDelayMs(1, () => 0)).toBe(0)
  expect(retryDelayMs(1, () => 1)).toBe(25)
  expect(retryDelayMs(2, () => 1)).toBe(75)
  expect(retryDelayMs(9, () => 1)).toBe(250)
})

test('Retry-After is read in seconds, and never as milliseconds', () => {
  expect(retryAfterMs('2')).toBe(2000)
  for (const value of [undefined, '', '301', '-1', '1.5', 'Wed, 21 Oct 2026 07:28:00 GMT']) {
    expect(retryAfterMs(value)).toBeUndefined()
  }
})

function frame(length: number, isMasked = false): Buffer {
  const mask = isMasked ? 0x80 : 0
  const head =
    length < 126
      ? Buffer.from([0x82, mask | length])
      : length < 65_536
        ? Buffer.from([0x82, mask | 126, length >> 8, length & 255])
        : Buffer.from([0x82, mask | 127, 0, 0, 0, 0, 0, length >> 16, (length >> 8) & 255, length & 255])
  return Buffer.concat([head, Buffer.alloc(isMasked ? 4 : 0), Buffer.alloc(length)])
}

test.each([0, 1, 125, 126, 1000, 65_535, 65_536, 70_000])(
  'frames of %s bytes are followed byte by byte',
  (length) => {
    for (const isMasked of [false, true]) {
      const bytes = Buffer.concat([frame(length, isMasked), frame(3, isMasked)])
      for (const size of [1, 7, bytes.length]) {
        const tracker = new FrameTracker()
        const ends: number[] = []
        for (let at = 0; at < bytes.length; at += size) {
          tracker.push(bytes.subarray(at, at + size))
          if (tracker.isBetweenFrames) ends.push(Math.min(at + size, bytes.length))
        }
        expect(ends.at(-1)).toBe(bytes.length)
        if (size === 1) expect(ends).toEqual([frame(length, isMasked).length, bytes.length])
      }
    }
  },
)
