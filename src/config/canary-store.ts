import { z } from 'zod'
import { duration, name } from './values.ts'

/** `canary` of the static configuration: where releases are kept that lead themselves. */
export const canarySettings = z
  .strictObject({
    store: name()
      .optional()
      .describe(
        'Name of the consul registry whose key-value store has the states of releases, for all gateways; none = in this process alone, lost with it. Default: the consul registry if there is exactly one, else none.',
      ),
    prefix: z
      .string()
      .regex(/^[\w.-]+(?:\/[\w.-]+)*\/$/, { error: 'write a path that ends with a slash: sluice/' })
      .default('sluice/')
      .describe('Before every key there; gateways with the same prefix decide together. Default sluice/'),
    interval: duration()
      .default(5000)
      .describe('Time between two looks at each release; a rollback waits no longer. Default 5s.'),
    prometheus: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe('Server that prometheus checks of guards are put to: http://prometheus:9090. Default: none.'),
  })
  .prefault({})
  .superRefine(({ interval }, ctx) => {
    if (interval >= 100) return
    const params = { fix: 'write 100ms or more' }
    ctx.addIssue({ code: 'custom', message: 'the interval is too short', path: ['interval'], params })
  })
  .describe('Releases that lead themselves (ramp, guard). See docs/canary.md.')

interface Settings {
  readonly canary: z.output<typeof canarySettings>
  readonly registries: Readonly<Record<string, { readonly type: string }>>
}

/** Name of the registry that keeps the states; undefined = this process does. */
export function releaseRegistry({ canary, registries }: Settings): string | undefined {
  if (canary.store === 'none') return undefined
  if (canary.store !== undefined) return canary.store
  const consuls = Object.keys(registries).filter((each) => registries[each]?.type === 'consul')
  return consuls.length === 1 ? consuls[0] : undefined
}

/** The store has to be a registry that can keep something. */
export function checkReleaseStore(settings: Settings, ctx: z.RefinementCtx): void {
  const store = releaseRegistry(settings)
  if (store === undefined || settings.registries[store]?.type === 'consul') return
  const consuls = Object.keys(settings.registries).filter(
    (each) => settings.registries[each]?.type === 'consul',
  )
  ctx.addIssue({
    code: 'custom',
    message: `"${store}" is no consul registry`,
    path: ['canary', 'store'],
    params: { fix: `write one of ${[...consuls, 'none'].join(', ')}` },
  })
}
