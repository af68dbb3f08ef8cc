/** Where Curator and Spring Cloud keep services unless told otherwise. */
export const CURATOR_BASE = '/services'
/** The payload that Spring Cloud's consumers expect: texts below `metadata`. */
const PAYLOAD_CLASS = 'org.springframework.cloud.zookeeper.discovery.ZookeeperInstance'
/** Metadata that says "going away", whoever writes it; the value is the reason. */
export const DRAIN_KEY = 'drain'

/** What a record of ours says. */
export interface OwnRecord {
  readonly service: string
  readonly id: string
  readonly address: string
  readonly port: number
  readonly isTls: boolean
  readonly metadata: Readonly<Record<string, string>>
  /** ms since the epoch. */
  readonly registeredAt: number
}

/** How a consumer makes a URL of an instance: `{scheme}://{address}:{port}`. */
const URI_SPEC = {
  parts: [
    { value: 'scheme', variable: true },
    { value: '://', variable: false },
    { value: 'address', variable: true },
    { value: ':', variable: false },
    { value: 'port', variable: true },
  ],
}

/**
 * Curator's ServiceInstance. One that drains is not `enabled`: consumers that know nothing of our metadata leave it
 * alone, too.
 */
export function ownRecord({ service, id, address, port, isTls, metadata, registeredAt }: OwnRecord): string {
  const isDraining = metadata['state'] === 'draining' || metadata[DRAIN_KEY] !== undefined
  return JSON.stringify({
    name: service,
    id,
    address,
    port,
    sslPort: isTls ? port : null,
    payload: { '@class': PAYLOAD_CLASS, id, name: service, metadata },
    registrationTimeUTC: registeredAt,
    serviceType: 'DYNAMIC',
    uriSpec: URI_SPEC,
    enabled: !isDraining,
  })
}

/** The reason of a drain mark in somebody's record; undefined = there is none. */
export function drainMarkOf(text: string): string | undefined {
  const mark = metadataOf(parse(text))?.[DRAIN_KEY]
  return typeof mark === 'string' ? mark : undefined
}

/**
 * Somebody's record with a drain mark, or without (`reason` undefined). Of a payload without `metadata` nobody knows
 * what it may hold: then `enabled` alone says it. Undefined = it is no record.
 */
export function withDrainMark(text: string, reason: string | undefined): string | undefined {
  const record = parse(text)
  if (record === undefined) return undefined
  const metadata = metadataOf(record)
  if (metadata !== undefined) {
    if (reason === undefined) delete metadata[DRAIN_KEY]
    else metadata[DRAIN_KEY] = reason
  }
  record['enabled'] = reason === undefined && metadata?.['state'] !== 'draining'
  return JSON.stringify(record)
}

type Json = Record<string, unknown>

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parse(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function metadataOf(record: Json | undefined): Json | undefined {
  const payload = record?.['payload']
  const metadata = isObject(payload) ? payload['metadata'] : undefined
  return isObject(metadata) ? metadata : undefined
}
