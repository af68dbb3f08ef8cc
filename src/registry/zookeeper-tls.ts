import { readFileSync } from 'node:fs'
import { GatewayError, toError } from '../core/errors.ts'
import type { ZooKeeperTls } from '../zookeeper/connection.ts'

/** PEM files. */
export interface ZooKeeperTlsFiles {
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  /** False trusts any certificate. */
  readonly verify?: boolean | undefined
}

/** Their texts. Throws GW_REGISTRY_FILE when one cannot be read. */
export function readTls({ ca, cert, key, verify }: ZooKeeperTlsFiles): ZooKeeperTls {
  const read = (file: string | undefined) => {
    try {
      return file === undefined ? undefined : readFileSync(file)
    } catch (cause) {
      throw new GatewayError('GW_REGISTRY_FILE', `${file} cannot be read`, { cause: toError(cause) })
    }
  }
  return { ca: read(ca), cert: read(cert), key: read(key), verify }
}
