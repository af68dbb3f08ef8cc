/** Time and chance as values that a test can replace. */
export interface Clock {
  /** ms since the epoch. */
  now(): number
  /** Monotonic ms with fractions; only differences mean something. */
  monotonic(): number
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
}

/** Uniform in [0, 1). */
export type Random = () => number

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * `250ms`, `15s`, `1.5m`, `1h`, `7d` as milliseconds; a plain `0` is 0.
 * Undefined when the text is no duration (a bare number has no unit and is none).
 */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim())
  if (match === null) return undefined
  return Math.round(Number(match[1]) * (UNITS[match[2] ?? ''] ?? Number.NaN))
}

const SIZES: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1000,
  MB: 1_000_000,
  GB: 1_000_000_000,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
}

/** `512B`, `64KiB`, `10MB` as bytes; a plain `0` is 0. Undefined when the text is no size. */
export function parseSize(text: string): number | undefined {
  if (text === '0') return 0
  const match = /^(\d+(?:\.\d+)?)(B|KB|MB|GB|KiB|MiB|GiB)$/.exec(text.trim())
  if (match === null) return undefined
  return Math.round(Number(match[1]) * (SIZES[match[2] ?? ''] ?? Number.NaN))
}

/**
 * The wait before try `attempt` (1, 2, 3 …): exponential from `baseMs`, capped at `maxMs`, with full jitter
 * over its upper half, so that many gateways do not come back in step. ms.
 */
export function backoffMs(attempt: number, baseMs: number, maxMs: number, random: Random): number {
  const ceiling = Math.min(maxMs, baseMs * 2 ** Math.min(attempt - 1, 30))
  return ceiling / 2 + (ceiling / 2) * random()
}

/** Resolves after `ms`, or at once when the signal aborts. Never rejects; the timer does not hold the process. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve()
    const done = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal?.addEventListener('abort', done, { once: true })
  })
}
