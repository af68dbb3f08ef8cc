import { z } from 'zod'
import { defineFilter } from './filter.ts'
import { headerName } from './header-options.ts'

/** Puts the request's id into a header of your choice, upstream and in the answer. */
export const requestId = defineFilter({
  name: 'request-id',
  summary: 'The request’s id in a header, upstream and in the answer.',
  options: z.strictObject({
    header: headerName().prefault('x-request-id').describe('Header name. Default x-request-id.'),
    response: z.boolean().default(true).describe('Also in the answer. Default true.'),
  }),
  create({ header, response }) {
    return {
      inbound(ctx) {
        ctx.headers.set(header, ctx.requestId)
        return undefined
      },
      ...(response
        ? {
            outbound: (ctx, answer) => {
              answer.headers.set(header, ctx.requestId)
              return undefined
            },
          }
        : {}),
    }
  },
})
