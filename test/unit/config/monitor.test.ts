import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { monitorFor } from '../../../src/config/monitor.ts'
import { load, problemsOf } from '../../support/config.ts'

const monitorOf = async (yaml: string) => (await load({ 'sluice.yaml': yaml })).static.monitor

test('without the key: memory alone, three rules, nobody is told', async () => {
  const { history, flapping, alerts } = await monitorOf('')
  expect(history).toEqual({ maxEntries: 10_000, maxAge: 604_800_000, maxBytes: 8_388_608 })
  expect(flapping).toEqual({ changes: 5, within: 600_000 })
  expect(alerts).toMatchObject({ interval: 5000, notify: [], alertmanager: [], resend: 60_000, labels: {} })
  expect(alerts.rules).toEqual([
    { name: 'ServiceDown', kind: 'minHealthy', min: 1, for: 15_000, severity: 'critical', labels: {} },
    { name: 'RegistryStale', kind: 'registryStale', min: 1, for: 30_000, severity: 'warning', labels: {} },
    { name: 'InstanceFlapping', kind: 'flapping', min: 1, for: 0, severity: 'warning', labels: {} },
  ])
  expect((await monitorOf('monitor: { alerts: { rules: [] } }')).alerts.rules).toEqual([])
})

test('the history lies beside the snapshot, where it says, or nowhere', async () => {
  const config = await load({ 'sluice.yaml': 'snapshot: { path: var/snapshot.json }' })
  const folder = dirname(config.files[0] as string)
  expect(config.static.monitor.history.file).toBe(join(folder, 'var/history.jsonl'))
  const own = await load({ 'sluice.yaml': 'monitor: { history: { file: log/h.jsonl } }' })
  expect(own.static.monitor.history.file).toBe(join(dirname(own.files[0] as string), 'log/h.jsonl'))
  const none = await monitorOf('snapshot: { path: var/snapshot.json }\nmonitor: { history: { file: none } }')
  expect(none.history.file).toBeUndefined()
})

test('rules have the defaults of their kind', async () => {
  const { alerts } = await monitorOf(`
monitor:
  alerts:
    rules:
      - { name: Skew, kind: versionSkew, service: "shop-*" }
      - { name: Half, kind: minHealthy, service: cart, min: 50%, for: 0, severity: info, labels: { team: cart } }
      - { name: Silent, kind: noTraffic, service: cart }
`)
  expect(alerts.rules).toMatchObject([
    { for: 3_600_000, severity: 'warning', service: 'shop-*' },
    { for: 0, severity: 'info', min: '50%', labels: { team: 'cart' } },
    { for: 600_000, severity: 'warning' },
  ])
})

test('a monitor has a history file of its own, and may be the only one that tells', async () => {
  const config = await monitorOf(`
monitor:
  history: { file: /var/h.jsonl }
  alerts: { alertmanager: ["http://am:9093"], notify: [{ webhook: "http://chat/" }], tell: monitor }`)
  expect(monitorFor(config, 'gateway').history.file).toBe('/var/h.jsonl')
  expect(monitorFor(config, 'gateway').alerts).toMatchObject({ alertmanager: [], notify: [] })
  expect(monitorFor(config, 'monitor').history.file).toBe('/var/h.jsonl.monitor')
  expect(monitorFor(config, 'monitor').alerts).toEqual(config.alerts)
  const all = { ...config, alerts: { ...config.alerts, tell: 'all' as const } }
  expect(monitorFor(all, 'gateway')).toEqual(all)
  const memory = await monitorOf('')
  expect(monitorFor(memory, 'monitor')).toEqual(memory)
})

test.each([
  ['rules: [{ name: A, kind: flapping }, { name: A, kind: flapping }]', 'monitor.alerts.rules[1].name'],
  ['rules: [{ name: A, kind: flapping, min: 2 }]', 'monitor.alerts.rules[0].min'],
  ['rules: [{ name: A, kind: registryStale, service: shop }]', 'monitor.alerts.rules[0].service'],
  ['rules: [{ name: A, kind: minHealthy, registry: consul }]', 'monitor.alerts.rules[0].registry'],
  ['rules: [{ name: A, kind: minHealthy, min: 0 }]', 'monitor.alerts.rules[0].min'],
  ['rules: [{ name: A, kind: minHealthy, min: 200% }]', 'monitor.alerts.rules[0].min'],
  ['rules: [{ name: A, kind: other }]', 'monitor.alerts.rules[0].kind'],
  ['rules: [{ name: "a b", kind: flapping }]', 'monitor.alerts.rules[0].name'],
  ['alertmanager: ["ftp://x"]', 'monitor.alerts.alertmanager[0]'],
  ['labels: { "a-b": x }', 'monitor.alerts.labels.a-b'],
  ['interval: 10ms', 'monitor.alerts.interval'],
])('%s is a mistake at %s', async (yaml, path) => {
  const problems = await problemsOf({ 'sluice.yaml': `monitor: { alerts: { ${yaml} } }` })
  expect(problems.map((each) => each.path)).toEqual([path])
  expect(problems[0]?.fix).not.toBe('')
})
