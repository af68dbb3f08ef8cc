import { z } from 'zod'
import type { FilterContext } from './filter.ts'
import { headerToken } from './header-options.ts'

/** What a request counts. */
export const costOption = () =>
  z
    .union([
      z.int().min(1),
      z.strictObject({
        header: headerToken().describe('Request header with a whole number.'),
        default: z.int().min(1).default(1).describe('Without a usable number. Default 1.'),
        max: z.int().min(1).describe('More counts as this.'),
      }),
    ])
    .default(1)
    .describe(
      'What a request counts: a number, or that of a header; let only headers of trusted senders decide. Default 1.',
    )

export type CostOption = z.output<ReturnType<typeof costOption>>

/** The largest cost that may come of it. */
export const maxCost = (cost: CostOption): number => (typeof cost === 'number' ? cost : cost.max)

/** Never less than 1: who could send 0 would pass for nothing. */
export function createCost(cost: CostOption): (ctx: FilterContext) => number {
  if (typeof cost === 'number') return () => cost
  const name = cost.header.toLowerCase()
  return ({ headers }) => {
    const text = headers.get(name)
    if (text === undefined || !/^\d{1,15}$/.test(text)) return cost.default
    return Math.min(Math.max(1, Number(text)), cost.max)
  }
}
