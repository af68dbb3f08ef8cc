import { dirname, join } from 'node:path'
import { z } from 'zod'
import { duration, size } from './values.ts'

const webUrl = () => z.url({ protocol: /^https?$/, error: 'write an http or https URL' })

const atLeast = (least: number, text: string) => (value: number, ctx: z.RefinementCtx) => {
  if (value >= least) return
  ctx.addIssue({ code: 'custom', message: `less than ${text}`, params: { fix: `write ${text} or more` } })
}

const history = z
  .strictObject({
    file: z
      .string()
      .min(1)
      .optional()
      .describe(
        'File that keeps it over restarts, one line of JSON a change; none = memory alone. One process a file. Default: history.jsonl beside the snapshot, if there is one, else none.',
      ),
    maxEntries: z
      .int()
      .min(100)
      .max(1_000_000)
      .default(10_000)
      .describe('Changes that are remembered, at most 100 of one instance. Default 10000.'),
    maxAge: duration().default(604_800_000).describe('Older ones are forgotten. 0 = never. Default 7d.'),
    maxBytes: size()
      .default(8_388_608)
      .superRefine(atLeast(4096, '4KiB'))
      .describe('A file of this size is renamed to `file`.1, in the place of the one before. Default 8MiB.'),
  })
  .prefault({})
  .describe('What became of each instance and registry.')

const flapping = z
  .strictObject({
    changes: z
      .int()
      .min(2)
      .max(1000)
      .default(5)
      .describe('An instance that goes in and out of use so often flaps. Drains do not count. Default 5.'),
    within: duration()
      .default(600_000)
      .superRefine(atLeast(1000, '1s'))
      .describe('Within this; it is over when the instance has been quiet for as long. Default 10m.'),
  })
  .prefault({})
  .describe('Instances that change too often.')

/** A name of Prometheus’s for a label. */
const labels = () =>
  z.record(
    z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: 'letters, digits and _ (a label of Prometheus)' }),
    z.string(),
  )

/** What a kind of rule says where the rule does not. */
const KINDS = {
  minHealthy: { for: 15_000, severity: 'critical' },
  flapping: { for: 0, severity: 'warning' },
  versionSkew: { for: 3_600_000, severity: 'warning' },
  noTraffic: { for: 600_000, severity: 'warning' },
  registryStale: { for: 30_000, severity: 'warning' },
} as const

const rule = z
  .strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z][\w-]*$/, { error: 'letters, digits, - and _' })
      .describe('Unique; alertname of Alertmanager.'),
    kind: z
      .enum(['minHealthy', 'flapping', 'versionSkew', 'noTraffic', 'registryStale'])
      .describe(
        'minHealthy = fewer instances than `min` are in rotation; flapping = an instance flaps; versionSkew = several versions are in rotation; noTraffic = a service that had requests has none any more; registryStale = a registry, or the read of a service, fails.',
      ),
    service: z
      .string()
      .min(1)
      .optional()
      .describe('A service, or several: * stands for any text. Default: each one that routes send to.'),
    registry: z
      .string()
      .min(1)
      .optional()
      .describe('For registryStale: a registry, or several with *. Default: all.'),
    min: z
      .union([
        z.int().min(1),
        z
          .string()
          .regex(/^(?:100|[1-9]?\d)%$/, { error: 'write a number of instances, or a share such as 50%' }),
      ])
      .optional()
      .describe('For minHealthy: instances, or a share of those that are listed: 2, 50%. Default 1.'),
    for: duration()
      .optional()
      .describe(
        'It fires when that has held for so long. Default 15s (minHealthy), 30s (registryStale), 10m (noTraffic), 1h (versionSkew), 0 (flapping).',
      ),
    severity: z
      .enum(['critical', 'warning', 'info'])
      .optional()
      .describe('Default critical for minHealthy, else warning.'),
    labels: labels().default({}).describe('More labels for Alertmanager and webhooks. Default: none.'),
  })
  .superRefine((value, ctx) => {
    const refuse = (key: 'min' | 'registry' | 'service', fix: string) => {
      if (value[key] === undefined) return
      ctx.addIssue({
        code: 'custom',
        message: `"${key}" means nothing to ${value.kind}`,
        path: [key],
        params: { fix },
      })
    }
    if (value.kind !== 'minHealthy') refuse('min', 'remove it, or make it kind: minHealthy')
    if (value.kind !== 'registryStale') refuse('registry', 'remove it, or make it kind: registryStale')
    else refuse('service', 'write registry')
  })
  .transform(({ for: forMs, severity, min = 1, ...rest }) => ({
    ...rest,
    min,
    for: forMs ?? KINDS[rest.kind].for,
    severity: severity ?? KINDS[rest.kind].severity,
  }))

/** Somebody is left of each service that is routed to; the registry answers; nothing flaps. */
const DEFAULT_RULES: z.input<typeof rule>[] = [
  { name: 'ServiceDown', kind: 'minHealthy' },
  { name: 'RegistryStale', kind: 'registryStale' },
  { name: 'InstanceFlapping', kind: 'flapping' },
]

const alerts = z
  .strictObject({
    interval: duration()
      .default(5000)
      .superRefine(atLeast(100, '100ms'))
      .describe('Time between two looks at the rules. Default 5s.'),
    rules: z
      .array(rule)
      .prefault(DEFAULT_RULES)
      .superRefine((rules, ctx) => {
        const names = rules.map((each) => each.name)
        for (const [i, each] of names.entries()) {
          if (names.indexOf(each) === i) continue
          const params = { fix: 'give each rule a name of its own' }
          ctx.addIssue({ code: 'custom', message: `a second rule "${each}"`, path: [i, 'name'], params })
        }
      })
      .describe(
        'What raises an alert. Default: ServiceDown (minHealthy 1), RegistryStale, InstanceFlapping; [] = nothing.',
      ),
    notify: z
      .array(z.strictObject({ webhook: z.string().describe('URL that gets a POST; empty = none.') }))
      .default([])
      .describe('Who is told of alerts that begin and end. Default: nobody.'),
    alertmanager: z
      .array(webUrl())
      .default([])
      .describe('Alertmanagers, each of a cluster: http://alertmanager:9093. Default: none.'),
    tell: z
      .enum(['all', 'monitor'])
      .default('all')
      .describe(
        'Who tells them: all = each gateway with this file, and `sluice monitor`; monitor = that alone, so that a webhook hears of each alert once. Default all.',
      ),
    resend: duration()
      .default(60_000)
      .superRefine(atLeast(1000, '1s'))
      .describe(
        'What fires is sent to them again after this; without it they drop it after four times this. Default 1m.',
      ),
    labels: labels()
      .default({})
      .describe(
        'Labels of every alert: { cluster: eu-1 }. The same in all gateways that watch the same. Default: none.',
      ),
  })
  .prefault({})
  .describe('Rules that raise alerts, and who is told.')

/** The key `monitor`. */
export const monitor = z
  .strictObject({ history, flapping, alerts })
  .prefault({})
  .describe('History of instances, flapping, alerts; see docs/monitor.md.')

export type MonitorConfig = z.output<typeof monitor>

/** What it means for a gateway, or for `sluice monitor` with the same file. */
export function monitorFor(config: MonitorConfig, role: 'gateway' | 'monitor'): MonitorConfig {
  const { history, alerts } = config
  if (role === 'monitor') {
    // On one machine with a gateway both would write to it.
    return history.file === undefined
      ? config
      : { ...config, history: { ...history, file: `${history.file}.monitor` } }
  }
  return alerts.tell === 'all' ? config : { ...config, alerts: { ...alerts, notify: [], alertmanager: [] } }
}

/** With the file of the history as an absolute path, or without one. `base`: makes a path of the file absolute. */
export function resolveHistory(
  config: MonitorConfig,
  snapshot: { readonly path: string } | undefined,
  base: (path: string) => string,
): MonitorConfig {
  const { file: given, ...rest } = config.history
  const beside = snapshot === undefined ? undefined : join(dirname(base(snapshot.path)), 'history.jsonl')
  const file = given === undefined ? beside : given === 'none' ? undefined : base(given)
  return { ...config, history: file === undefined ? rest : { ...rest, file } }
}
