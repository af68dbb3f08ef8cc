import { z } from 'zod'
import { duration, name } from './values.ts'

/** `fleet` of the static configuration: gateways that tell each other, and a monitor, what they see. */
export const fleetSettings = z
  .strictObject({
    store: name()
      .optional()
      .describe(
        'Name of the consul registry in whose key-value store gateways leave what they see. Default: none.',
      ),
    prefix: z
      .string()
      .regex(/^[\w.-]+(?:\/[\w.-]+)*\/$/, { error: 'write a path that ends with a slash: sluice/' })
      .default('sluice/')
      .describe('Before every key there; gateways with the same prefix are one fleet. Default sluice/'),
    push: z
      .array(
        z.strictObject({
          url: z.url({ protocol: /^https?$/ }).describe('Admin address of a monitor: http://monitor:8081'),
          token: z.string().min(1).optional().describe('Its admin.token.'),
        }),
      )
      .default([])
      .describe('Monitors that are told directly, where no consul can be used. Default: none.'),
    interval: duration().default(5000).describe('Time between two reports. Default 5s.'),
    name: z
      .string()
      .min(1)
      .max(100)
      .optional()
      .describe('Of this gateway, for people. Default: host and process.'),
    admin: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe('Where people and tools reach this admin side. Default: where it listens.'),
  })
  .prefault({})
  .superRefine(({ interval }, ctx) => {
    if (interval >= 100) return
    const params = { fix: 'write 100ms or more' }
    ctx.addIssue({ code: 'custom', message: 'the interval is too short', path: ['interval'], params })
  })
  .describe('What gateways tell each other, so that one page shows all. See docs/fleet.md.')

/** The store has to be a registry that can keep something. */
export function checkFleetStore(
  {
    fleet,
    registries,
  }: {
    readonly fleet: z.output<typeof fleetSettings>
    readonly registries: Readonly<Record<string, { readonly type: string }>>
  },
  ctx: z.RefinementCtx,
): void {
  if (fleet.store === undefined || registries[fleet.store]?.type === 'consul') return
  const consuls = Object.keys(registries).filter((each) => registries[each]?.type === 'consul')
  ctx.addIssue({
    code: 'custom',
    message: `"${fleet.store}" is no consul registry`,
    path: ['fleet', 'store'],
    params: { fix: consuls.length === 0 ? 'use fleet.push' : `write one of ${consuls.join(', ')}` },
  })
}
