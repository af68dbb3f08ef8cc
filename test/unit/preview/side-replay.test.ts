import { expect, test } from 'vitest'
import { previewTables } from '../../../src/preview/preview.ts'
import type { RecordedRequest } from '../../../src/preview/recorder.ts'
import { replaySide } from '../../../src/preview/side-replay.ts'
import { createSlicer } from '../../../src/routing/sliced.ts'
import type { Table } from '../../../src/routing/table.ts'
import { aRule, releaseTable } from '../../support/canary.ts'

const REQUESTS = Array.from(
  { length: 2000 },
  (_, i): RecordedRequest => ({
    at: i,
    method: 'GET',
    scheme: 'http',
    authority: 'shop.example.com',
    target: '/catalog',
    headers: {},
    client: '192.0.2.0',
    clientKey: 'c',
    principal: `jwt:hash-${i}`,
    status: 200,
  }),
)
const NO_FILTERS = { refusedBy: () => undefined }
const withPercent = (percent: number) =>
  releaseTable([aRule('v2', percent, { keys: [{ kind: 'claim', name: 'sub' }] })])

const preview = (before: Table, after: Table) =>
  previewTables({
    before,
    after,
    requests: REQUESTS,
    maxExamples: 2000,
    filters: { before: NO_FILTERS, after: NO_FILTERS },
    side: replaySide,
    slicer: createSlicer(),
  })

test('a preview of 5 to 10 % counts the newcomers, and only them', async () => {
  const { changes, total } = await preview(await withPercent(500), await withPercent(1000))
  expect(total).toBe(2000)
  expect(changes.side.count / total).toBeGreaterThan(0.03)
  expect(changes.side.count / total).toBeLessThan(0.07)
  expect(new Set(changes.side.examples.map(({ before, after }) => `${before.side} ${after.side}`))).toEqual(
    new Set(['stable canary']),
  )
})

test('the same share changes nobody', async () => {
  expect((await preview(await withPercent(500), await withPercent(500))).changes.side.count).toBe(0)
})
