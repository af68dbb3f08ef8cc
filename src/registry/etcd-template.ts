import { compileReader } from '../core/json-path.ts'
import type { Instance } from '../core/types.ts'
import type { EtcdEntry } from '../etcd/wire.ts'
import { type EtcdLayout, type LayoutRecord, parseJson, splitAddress, stateByLease } from './etcd-layout.ts'

/**
 * A layout in words of the configuration. What begins with `$` is a path into the value, anything else is taken as it
 * is written.
 */
export interface LayoutTemplate {
  /** `/services/{service}/{id}`; each stands for one step of a key. */
  readonly key: string
  /** `http://10.0.0.7:8080`; or else `address`. */
  readonly url?: string | undefined
  /** With its port behind a colon, where `port` is not given. */
  readonly address?: string | undefined
  readonly port?: string | undefined
  readonly scheme?: string | undefined
  /** Where the key does not have it. */
  readonly service?: string | undefined
  readonly version?: string | undefined
  readonly zone?: string | undefined
  readonly weight?: string | undefined
  readonly state?: string | undefined
  /** A list of texts. */
  readonly tags?: string | undefined
  /** An object of texts. */
  readonly meta?: string | undefined
}

type Reader = (document: unknown) => unknown

const STATES = ['passing', 'warning', 'critical', 'maintenance', 'draining']

/** Compiles a template. Throws GW_CONFIG_INVALID for a path that cannot be read. */
export function templateLayout(registry: string, template: LayoutTemplate): EtcdLayout {
  const start = template.key.indexOf('{')
  const prefix = start === -1 ? template.key : template.key.slice(0, start)
  const pattern = keyPattern(template.key)
  const readers = new Map<keyof LayoutTemplate, Reader>()
  for (const [name, text] of Object.entries(template) as [keyof LayoutTemplate, string | undefined][]) {
    if (name === 'key' || text === undefined) continue
    readers.set(name, text.startsWith('$') ? compileReader(text) : () => text)
  }
  return {
    prefix,
    read(entry) {
      const groups = pattern.exec(entry.key)?.groups
      return groups === undefined ? undefined : readEntry(registry, readers, entry, groups)
    },
  }
}

function keyPattern(key: string): RegExp {
  const parts = key.split(/\{(service|id)\}/)
  const source = parts.map((part, i) =>
    i % 2 === 1 ? `(?<${part}>[^/]+)` : part.replace(/[\\^$.|?*+()[\]{}]/g, '\\$&'),
  )
  return new RegExp(`^${source.join('')}$`, 's')
}

function readEntry(
  registry: string,
  readers: ReadonlyMap<keyof LayoutTemplate, Reader>,
  entry: EtcdEntry,
  groups: Readonly<Record<string, string>>,
): LayoutRecord {
  // Plain text is a value, too: with `$`.
  const json = parseJson(entry.value)
  const document = json === undefined ? entry.value : json.value
  const text = (name: keyof LayoutTemplate): string | undefined => {
    const value = readers.get(name)?.(document)
    return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined
  }
  const service = groups['service'] ?? text('service')
  if (service === undefined || service === '') return { kind: 'malformed', why: 'it names no service' }
  const place = readPlace(text, readers)
  if (typeof place === 'string') return { kind: 'malformed', why: place }
  const id = groups['id'] ?? `${place.address}:${place.port}`
  const weight = Number(text('weight') ?? 1)
  const state = text('state')
  const [version, zone] = [text('version'), text('zone')]
  const tags = readers.get('tags')?.(document)
  const instance: Instance = {
    key: `${registry}/etcd/${service}/${id}`,
    id,
    service,
    ...place,
    state: state !== undefined && STATES.includes(state) ? (state as Instance['state']) : stateByLease(entry),
    weight: weight > 0 ? weight : 1,
    tags: Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string') : [],
    meta: textsOf(readers.get('meta')?.(document)),
    ...(version === undefined ? {} : { version }),
    ...(zone === undefined ? {} : { zone }),
    ...(state === 'critical' ? { checks: [{ id: 'record', state: 'critical', output: '' }] } : {}),
  }
  return { kind: 'instances', service, instances: [instance] }
}

/** Address, port and scheme, or what is wrong with them. */
function readPlace(
  text: (name: keyof LayoutTemplate) => string | undefined,
  readers: ReadonlyMap<keyof LayoutTemplate, Reader>,
): Pick<Instance, 'address' | 'port' | 'scheme'> | string {
  const name = readers.has('url') ? 'url' : 'address'
  const found = text(name)
  if (found === undefined || found === '') return `it has no ${name}`
  const [, ofUrl, rest = ''] = /^(\w+):\/\/([^/]+)\/?$/.exec(found) ?? []
  const port = readers.has('port') ? Number(text('port')) : undefined
  const place = splitAddress(ofUrl === undefined ? found : rest, port)
  if (place === undefined) return `"${found.slice(0, 80)}" is no address with a port`
  const scheme = text('scheme') ?? ofUrl ?? 'http'
  if (scheme === 'http' || scheme === 'https' || scheme === 'h2c') return { ...place, scheme }
  return scheme === 'grpc'
    ? { ...place, scheme: 'h2c' }
    : `"${scheme.slice(0, 20)}" is none of http, https, h2c`
}

function textsOf(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return {}
  const entries = Object.entries(value)
  return Object.fromEntries(entries.filter((pair): pair is [string, string] => typeof pair[1] === 'string'))
}
