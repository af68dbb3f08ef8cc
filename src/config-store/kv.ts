/** One key below the prefix. */
export interface KeyValue {
  /** Without the prefix. */
  readonly key: string
  readonly value: string
  /** For compare-and-set. */
  readonly index: number
}

/**
 * What a store of configuration has to do. Keys are given without the prefix. All calls throw GW_REGISTRY_UNREACHABLE,
 * _TIMEOUT, _ACL or _ANSWER.
 */
export interface ConfigKv {
  /** Which one, for people. */
  readonly label: string
  /** Of the keys. */
  readonly prefix: string
  /** All keys that begin with `under`; what was written before is there. */
  list(under: string): Promise<KeyValue[]>
  /** `index`: only if it is still that (0: only if there is none). False = it is not. */
  write(key: string, value: string, index?: number): Promise<boolean>
  remove(key: string): Promise<void>
  /**
   * Tells of all keys that begin with `under`, at once and after each change, until the signal aborts; what it tells may
   * be old for a moment. Never rejects.
   */
  watch(
    under: string,
    onEntries: (entries: readonly KeyValue[]) => void,
    onError: (text: string) => void,
    signal: AbortSignal,
  ): Promise<void>
  close(): Promise<void>
}
