/** Where the own layout keeps what, below a prefix without a slash at its end. Names are percent-encoded. */

/** Prefix where nobody gives one. */
export const OWN_PREFIX = '/sluice'

/** Step below a record: somebody wants the instance to go. */
export const DRAIN_STEP = 'drain'

/** Below it are all records. */
export const recordsPrefix = (prefix: string): string => `${prefix}/services/`

/** Below it are those of one service. */
export const servicePrefix = (prefix: string, service: string): string =>
  `${recordsPrefix(prefix)}${encodeURIComponent(service)}/`

/** The record of an instance. */
export const recordKey = (prefix: string, service: string, id: string): string =>
  servicePrefix(prefix, service) + encodeURIComponent(id)

/** The drain mark of an instance. */
export const markKey = (prefix: string, service: string, id: string): string =>
  `${recordKey(prefix, service, id)}/${DRAIN_STEP}`

/** Without slashes at the end. */
export const trimPrefix = (prefix: string): string => prefix.replace(/\/+$/, '')
