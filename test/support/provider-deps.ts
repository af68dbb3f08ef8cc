import type { ProviderDeps } from '../../src/identity/provider.ts'

/** What identity providers get in tests, with what they said. Time is that of `Date`, so fake timers move it. */
export function notingProviderDeps(own: Partial<ProviderDeps> = {}): ProviderDeps & {
  readonly fetched: string[]
  readonly warnings: string[]
} {
  const fetched: string[] = []
  const warnings: string[] = []
  return {
    clock: { now: () => Date.now(), monotonic: () => performance.now() },
    random: () => 0.5,
    log: {
      info: () => {},
      warn: (fields, text) => void warnings.push(`${text} ${JSON.stringify(fields)}`),
    },
    onFetch: (provider, result) => void fetched.push(`${provider} ${result}`),
    watchFiles: () => () => {},
    ...own,
    fetched,
    warnings,
  }
}
