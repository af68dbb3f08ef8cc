import { dirname } from 'node:path'
import { expect, test } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { filterSchemas } from '../../../src/filters/list.ts'
import { configFolder } from '../../support/config.ts'

test('files of filters are relative to the file that names them, wherever the gateway was started', async () => {
  const { folder, remove } = configFolder({
    'sluice.yaml': 'filters: { a: { type: api-key, file: keys.yaml } }',
    'routes.d/b.yaml':
      'routes: [{ name: b, filters: [a, { type: basic, file: ../users }, { type: hmac, file: /etc/h.yaml }, { type: quota, period: day, limit: 1, persist: q.json }], upstreams: ["http://10.0.0.1:1"] }]',
  })
  try {
    const { dynamic } = await loadConfig({ path: folder, filterSchemas: filterSchemas() })
    const files = dynamic.routes[0]?.filters.map(({ options }) => options['file'] ?? options['persist'])
    expect(files).toEqual([
      `${folder}/keys.yaml`,
      `${folder}/users`,
      '/etc/h.yaml',
      `${folder}/routes.d/q.json`,
    ])
    expect(dirname(dynamic.routes[0]?.source ?? '')).toContain('routes.d')
  } finally {
    remove()
  }
})
