import { expect, test } from 'vitest'
import { accessLine, createAccessLog, LineBuffer } from '../../../plugins/log.ts'
import { aRecord } from '../../support/records.ts'

test('an access log line is one line of JSON with what the request took', () => {
  const line = accessLine(aRecord(), false)
  expect(line.endsWith('}\n')).toBe(true)
  expect(line.trimEnd()).not.toContain('\n')
  expect(JSON.parse(line)).toEqual({
    level: 30,
    time: 1_700_000_000_000,
    msg: 'request',
    id: 'r-1',
    trace: '0af7651916cd43dd8448eb211c80319c',
    method: 'GET',
    scheme: 'http',
    http: '1.1',
    host: 'shop.example.com',
    path: '/cart',
    status: 200,
    outcome: 'ok',
    route: 'shop',
    service: 'shop',
    instance: 'consul/dc1/n1/shop-1',
    address: '10.0.0.1:8080',
    version: '1.0.0',
    table: 3,
    ms_total: 3,
    ms_upstream: 2,
    bytes_in: 0,
    bytes_out: 10,
    attempts: 1,
    ua: 'test',
    ip: '192.0.2.1',
  })
})

test('nothing that a client sends can break out of the line', () => {
  const evil = '"}\n{"msg":"forged'
  const line = accessLine(
    aRecord({
      path: evil,
      host: evil,
      userAgent: evil,
      requestId: evil,
      clientIp: evil,
      method: evil,
      query: evil,
    }),
    true,
  )
  expect(line.trimEnd()).not.toContain('\n')
  expect(JSON.parse(line)).toMatchObject({ msg: 'request', path: evil, ua: evil, query: evil })
})

test('the query stays out unless it is asked for', () => {
  const record = aRecord({ query: '?token=secret' })
  expect(accessLine(record, false)).not.toContain('secret')
  expect(accessLine(record, true)).toContain('secret')
})

test('retries are listed, a single try is not', () => {
  const attempts = [
    { instanceKey: 'a', status: undefined, outcome: 'connect_failed' as const, ms: 1.234 },
    { instanceKey: 'b', status: 200, outcome: 'ok' as const, ms: 2 },
  ]
  expect(JSON.parse(accessLine(aRecord({ attempts }), false))).toMatchObject({
    attempts: 2,
    tries: [
      { instance: 'a', outcome: 'connect_failed', ms: 1.23 },
      { instance: 'b', outcome: 'ok', status: 200, ms: 2 },
    ],
  })
  expect(accessLine(aRecord(), false)).not.toContain('tries')
})

test('sampling leaves good answers out and never bad ones', () => {
  const lines: string[] = []
  const log = createAccessLog(
    { enabled: true, query: false, sample: 0.1 },
    { write: (line) => lines.push(line) },
    () => 0.5,
  )
  log(aRecord())
  expect(lines).toHaveLength(0)
  log(aRecord({ status: 503 }))
  log(aRecord({ outcome: 'client_gone', status: 499 }))
  expect(lines).toHaveLength(2)
})

test('times have two decimals', () => {
  const line = accessLine({ ...aRecord(), totalMs: 12.046, upstreamMs: 1.999, filterMs: 0.3 }, false)
  expect(line).toContain('"ms_total":12.05,"ms_upstream":2.00,"ms_filters":0.30,')
})

test('lines are written together, in order, and none is left when it is flushed', () => {
  const pieces: string[] = []
  let isSynced = false
  const buffer = new LineBuffer({
    write: (piece) => pieces.push(piece),
    flushSync: () => {
      isSynced = true
    },
  })
  const lines = Array.from({ length: 1000 }, (_, i) => `${i} ${'x'.repeat(60)}\n`)
  for (const line of lines) buffer.write(line)
  expect(pieces).toHaveLength(1)
  buffer.flush()
  buffer.flush()
  expect(pieces.join('')).toBe(lines.join(''))
  expect(pieces).toHaveLength(2)
  buffer.write('last\n')
  buffer.flushSync()
  expect(pieces.at(-1)).toBe('last\n')
  expect(isSynced).toBe(true)
})
