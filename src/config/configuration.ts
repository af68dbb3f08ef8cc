import { dirname, join } from 'node:path'
import { z } from 'zod'
import { name } from './values.ts'

/** `configuration` of the static configuration: routes, filters and canary rules out of a key-value store. */
export const configurationSettings = z
  .strictObject({
    store: name().describe('Name of the consul or etcd registry in whose key-value store they are.'),
    prefix: z
      .string()
      .regex(/^[\w.-]+(?:\/[\w.-]+)*\/$/, { error: 'write a path that ends with a slash: sluice/config/' })
      .default('sluice/config/')
      .describe('Before every key there. Default sluice/config/'),
    cache: z
      .string()
      .min(1)
      .optional()
      .describe(
        'File with the last revision that was taken, for a start without the store; none = no file. Default: configuration.json beside snapshot.path, else none.',
      ),
    environment: z
      .array(z.string().regex(/^[A-Za-z0-9_*]+$/, { error: 'write a name, * stands for any text' }))
      .default([])
      .describe(
        'Variables that ${ENV:…} may name in the store, * stands for any text: who can write there must not read all that this process has. ${FILE:…} is never allowed there. Default: none.',
      ),
    required: z
      .boolean()
      .default(false)
      .describe(
        'Not ready (/health/ready) before a revision was taken, from the store or the cache. Default false: routes of files serve.',
      ),
  })
  .optional()
  .describe('Routes, services, filters and canary rules from a store. See docs/configuration-store.md.')

export type ConfigurationSettings = NonNullable<z.output<typeof configurationSettings>>

const TYPES = ['consul', 'etcd']

/** The store has to be a registry that can keep something. */
export function checkConfigurationStore(
  {
    configuration,
    registries,
  }: {
    readonly configuration?: ConfigurationSettings | undefined
    readonly registries: Readonly<Record<string, { readonly type: string }>>
  },
  ctx: z.RefinementCtx,
): void {
  const store = configuration?.store
  if (store === undefined || TYPES.includes(registries[store]?.type ?? '')) return
  const fit = Object.keys(registries).filter((each) => TYPES.includes(registries[each]?.type ?? ''))
  ctx.addIssue({
    code: 'custom',
    message: `"${store}" is no consul or etcd registry`,
    path: ['configuration', 'store'],
    params: { fix: fit.length === 0 ? 'define one under registries' : `write one of ${fit.join(', ')}` },
  })
}

/** With the file of the cache: absolute, or absent. */
export function resolveConfiguration(
  settings: ConfigurationSettings | undefined,
  snapshot: { readonly path: string } | undefined,
  base: (path: string) => string,
): ConfigurationSettings | undefined {
  if (settings === undefined) return undefined
  const { cache: given, ...rest } = settings
  const beside = snapshot === undefined ? undefined : join(dirname(base(snapshot.path)), 'configuration.json')
  const cache = given === undefined ? beside : given === 'none' ? undefined : base(given)
  return cache === undefined ? rest : { ...rest, cache }
}

/** Whether a variable may be named in the store. */
export function mayNameVariable(settings: ConfigurationSettings | undefined, variable: string): boolean {
  return (settings?.environment ?? []).some((glob) => {
    const pattern = glob.split('*').join('.*')
    return new RegExp(`^${pattern}$`).test(variable)
  })
}
