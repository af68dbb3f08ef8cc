import type { FilterMetrics } from '../../src/filters/metrics.ts'

/** Filter metrics that remember: `name|label|label` → value. */
export function notingMetrics() {
  const values = new Map<string, number>()
  const highest = new Map<string, number>()
  const set = (key: string, value: number) => {
    values.set(key, value)
    highest.set(key, Math.max(value, highest.get(key) ?? 0))
  }
  const metrics: FilterMetrics = {
    count: (name, labels, by = 1) => {
      const key = [name, ...labels].join('|')
      set(key, (values.get(key) ?? 0) + by)
    },
    set: (name, labels, value) => set([name, ...labels].join('|'), value),
  }
  return {
    metrics,
    value: (key: string) => values.get(key) ?? 0,
    /** The most it ever was. */
    highest: (key: string) => highest.get(key) ?? 0,
    values,
  }
}
