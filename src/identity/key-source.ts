import type { KeySet } from './key-set.ts'

/** Where the keys of an issuer come from. */
export interface KeySource {
  /** The keys to use now; undefined = none, or too old to be believed. */
  current(): KeySet | undefined
  /**
   * A token names a key that is not there: asks again, seldom. `isThere`: whether it came meanwhile. Resolves to whether
   * the keys are as new as can be had; false = the issuer does not answer. Bounded in time.
   */
  refetch(isThere: () => boolean): Promise<boolean>
  /** Throws when keys that must be on this machine are not there. */
  check(): Promise<void>
  /** Resolves after the first read, good or not, or when it takes too long. Never rejects. */
  start(): Promise<void>
  /** Of the keys in use. */
  ageSeconds(): number | undefined
  close(): Promise<void>
}

/** Keys that stand in the configuration. */
export function fixedKeys(set: KeySet): KeySource {
  return {
    current: () => set,
    refetch: () => Promise.resolve(true),
    check: () => Promise.resolve(),
    start: () => Promise.resolve(),
    ageSeconds: () => undefined,
    close: () => Promise.resolve(),
  }
}
