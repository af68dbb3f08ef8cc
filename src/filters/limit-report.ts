import { type FieldStyle, limitFields, type Reported } from '../limits/fields.ts'
import type { FilterContext, ResponseContext } from './filter.ts'

/** Where filters that limit leave what they decided, so that one answer speaks for all of them. */
const ATTRIBUTE = 'limits'

/** Adds to what the answer will say. */
export function report(ctx: FilterContext, all: readonly Reported[]): void {
  const before = ctx.attributes.get(ATTRIBUTE) as Reported[] | undefined
  ctx.attributes.set(ATTRIBUTE, before === undefined ? all : [...before, ...all])
}

/** Outbound: the first of the filters that gets there writes for all. What the service says of its own limits goes. */
export function writeReport(style: FieldStyle) {
  return (ctx: FilterContext, response: ResponseContext): undefined => {
    if (style === 'none') return undefined
    const all = ctx.attributes.get(ATTRIBUTE) as Reported[] | undefined
    if (all === undefined) return undefined
    ctx.attributes.delete(ATTRIBUTE)
    for (const [name, value] of limitFields(all, style)) response.headers.set(name, value)
    return undefined
  }
}
