import { errorText, GatewayError } from '../../src/core/errors.ts'

/**
 * Waits until `check` returns something truthy, asking every 10 ms; a throw counts as "not yet".
 * Rejects with the last reason after `timeoutMs` (default 10 s).
 */
export async function waitFor<T>(
  check: () => T | Promise<T>,
  options: { timeoutMs?: number; what?: string } = {},
): Promise<NonNullable<T>> {
  const until = performance.now() + (options.timeoutMs ?? 10_000)
  let last: unknown
  for (;;) {
    try {
      const value = await check()
      if (value) return value as NonNullable<T>
      last = `it was ${JSON.stringify(value)}`
    } catch (thrown) {
      last = thrown
    }
    if (performance.now() > until) {
      throw new GatewayError(
        'GW_INTERNAL_STATE',
        `waited in vain for ${options.what ?? check.toString().slice(0, 200)}: ${errorText(last)}`,
      )
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
