import { expect, test } from 'vitest'
import { z } from 'zod'
import { absolutePaths } from '../../../src/config/filter-paths.ts'

const path = () => z.string().min(1).meta({ format: 'path' })

test('files in lists are relative to the file that names them, too', () => {
  const schema = z.strictObject({
    files: z.array(path()).max(5).default([]).describe('x'),
    file: path().optional(),
    names: z.array(z.string()),
  })
  expect(
    absolutePaths(
      schema,
      { files: ['a.conf', '/b.conf'], file: '../c', names: ['d'], other: 1 },
      '/etc/sluice',
    ),
  ).toEqual({ files: ['/etc/sluice/a.conf', '/b.conf'], file: '/etc/c', names: ['d'], other: 1 })
})
