import { stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { type LoadedConfig, type LoadOptions, loadConfig, loadStatic } from '../config/load.ts'
import { connectStore } from '../config-store/connect.ts'
import { Revisions } from '../config-store/revisions.ts'
import { systemClock } from '../core/duration.ts'
import { GatewayError } from '../core/errors.ts'
import type { StoredFiles } from '../core/stored-files.ts'
import { filterSchemas } from '../filters/list.ts'
import type { Terminal } from './terminal.ts'

/** Which store, for all verbs that speak to one. */
export interface StoreOptions {
  /** sluice.yaml, or the folder that holds it: its `configuration` says which store. */
  readonly config: string
  /** `http://…` = a Consul agent, `etcd://…` or `etcds://…` = etcd; true or absent: as `config` says. */
  readonly store?: string | true
  readonly prefix?: string
}

/** A store, and how to judge what goes into it. */
export interface StoreTarget {
  readonly revisions: Revisions
  /** Store and prefix, for people and for the mark in a folder. */
  readonly label: string
  /** Beside sluice.yaml. */
  readonly folder: string
  /** To load what gateways would have with these files of the store. `folder`: where they were read. */
  loadOptions(stored: StoredFiles | undefined, folder: string): LoadOptions
  close(): Promise<void>
}

/** A file, or `sluice.yaml` in a folder; absolute. Undefined = there is none. */
async function findMain(path: string): Promise<string | undefined> {
  const absolute = resolve(path)
  const found = await stat(absolute).catch(() => undefined)
  if (found?.isDirectory() !== true) return found === undefined ? undefined : absolute
  const main = join(absolute, 'sluice.yaml')
  return (await stat(main).catch(() => undefined)) === undefined ? undefined : main
}

/** A configuration that names the store and nothing else. */
function mainFor(url: string, prefix: string | undefined): string {
  const parsed = URL.parse(url)
  const scheme = parsed?.protocol
  const isEtcd = scheme === 'etcd:' || scheme === 'etcds:'
  if (parsed === null || parsed.host === '' || !(isEtcd || scheme === 'http:' || scheme === 'https:')) {
    throw new GatewayError(
      'GW_CLI_MISUSE',
      `--store "${url}": write http://host:8500 for Consul, etcd://host:2379 or etcds://host:2379 for etcd`,
    )
  }
  const registry = isEtcd
    ? { type: 'etcd', endpoints: [`${scheme === 'etcds:' ? 'https' : 'http'}://${parsed.host}`] }
    : { type: 'consul', url }
  const configuration = { store: 'store', environment: ['*'], ...(prefix === undefined ? {} : { prefix }) }
  // JSON is YAML.
  return JSON.stringify({ version: 1, registries: { store: registry }, configuration })
}

/**
 * The store that the options name. Throws GW_CLI_MISUSE when they name none, ConfigError when sluice.yaml is not valid.
 * The caller must `close` it.
 */
export async function openStore(options: StoreOptions, { env, err }: Terminal): Promise<StoreTarget> {
  const main = await findMain(options.config)
  const url = typeof options.store === 'string' ? options.store : undefined
  const path = main ?? resolve('sluice.yaml')
  const made = url === undefined ? undefined : mainFor(url, options.prefix)
  if (main === undefined && made === undefined) {
    throw new GatewayError(
      'GW_CLI_MISUSE',
      `${options.config} cannot be read: name sluice.yaml with --config, or the store with --store`,
    )
  }
  const settings = await loadStatic({
    path,
    env,
    ...(made === undefined ? {} : { overlay: new Map([[path, made]]) }),
  })
  const { configuration, registries = {} } = settings ?? {}
  if (configuration === undefined) {
    throw new GatewayError(
      'GW_CLI_MISUSE',
      `${path} names no store (configuration.store); name one with --store`,
    )
  }
  const prefix = options.prefix ?? configuration.prefix
  const kv = connectStore(registries[configuration.store], prefix, {
    clock: systemClock,
    random: Math.random,
    log: { warn: (_fields, text) => err(`sluice: ${text}`) },
  })
  return {
    revisions: new Revisions(kv),
    label: `${kv.label} ${prefix}`,
    folder: dirname(path),
    loadOptions: (stored, folder) => ({
      path,
      env,
      // A sluice.yaml of the gateways is worth more than one that only names the store.
      ...(main === undefined && made !== undefined ? { overlay: new Map([[path, made]]) } : {}),
      ...(stored === undefined ? {} : { stored }),
      isStoredOnly: resolve(folder) === dirname(path),
    }),
    close: () => kv.close(),
  }
}

/** As gateways would load it. Throws ConfigError. */
export function loadWith(
  target: StoreTarget,
  stored: StoredFiles | undefined,
  folder: string,
): Promise<LoadedConfig> {
  return loadConfig({ ...target.loadOptions(stored, folder), filterSchemas: filterSchemas() })
}
