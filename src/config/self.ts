import { z } from 'zod'
import { duration, name } from './values.ts'

/** The gateway's own registration. */
export const self = z
  .strictObject({
    registry: name().describe(
      'The registry to register with: consul, etcd (own layout) or zookeeper (layout curator).',
    ),
    name: name().default('sluice').describe('Service name of the gateway. Default sluice.'),
    address: z.string().optional().describe('Address for others. Default: that of the listener.'),
    port: z.int().min(1).max(65535).optional().describe('Default: that of the listener.'),
    tags: z.array(z.string()).default([]).describe('Default: none.'),
    ttl: duration().default(15000).describe('Default 15s.'),
  })
  .optional()
  .describe('Register the gateway itself. Default: no.')

interface Settings {
  readonly self?: { readonly registry: string } | undefined
  readonly registries: Readonly<Record<string, { readonly type: string; readonly layout?: unknown }>>
}

/** It has to be a registry that takes registrations. */
export function checkSelf({ self, registries }: Settings, ctx: z.RefinementCtx): void {
  if (self === undefined) return
  const takes = (each: string) => {
    const { type, layout } = registries[each] ?? {}
    return (
      type === 'consul' ||
      (type === 'etcd' && layout === 'sluice') ||
      (type === 'zookeeper' && layout === 'curator')
    )
  }
  if (takes(self.registry)) return
  const good = Object.keys(registries).filter(takes)
  ctx.addIssue({
    code: 'custom',
    message: `"${self.registry}" is no registry to register with`,
    path: ['self', 'registry'],
    params: {
      fix:
        good.length > 0
          ? `write one of ${good.join(', ')}`
          : 'define one of type consul, etcd with the own layout, or zookeeper with the layout curator, under registries',
    },
  })
}
