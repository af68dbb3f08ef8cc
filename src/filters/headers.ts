import { z } from 'zod'
import type { Headers } from '../core/headers.ts'
import { defineFilter, type FilterContext } from './filter.ts'
import { headerName, headerValue } from './header-options.ts'

const PLACEHOLDERS = ['client.ip', 'request.id', 'route', 'host', 'scheme'] as const
const PLACEHOLDER = /\{([^{}]*)\}/g

const value = headerValue().superRefine((text, ctx) => {
  for (const [, word = ''] of text.matchAll(PLACEHOLDER)) {
    if (/^param\.\w[\w-]*$/.test(word) || PLACEHOLDERS.some((known) => known === word)) continue
    const known = [...PLACEHOLDERS, 'param.NAME'].map((each) => `{${each}}`).join(', ')
    ctx.addIssue({ code: 'custom', message: `unknown placeholder {${word}}; there are ${known}` })
  }
})

const edits = z
  .strictObject({
    remove: z.array(headerName()).default([]).describe('Done first.'),
    set: z.record(headerName(), value).default({}).describe('Replaces what is there.'),
    add: z.record(headerName(), value).default({}).describe('Stands beside what is there.'),
  })
  .prefault({})

function lookUp(word: string, ctx: FilterContext): string {
  switch (word) {
    case 'client.ip':
      return ctx.clientIp
    case 'request.id':
      return ctx.requestId
    case 'route':
      return ctx.decision.route.spec.name
    case 'host':
      return ctx.decision.host
    case 'scheme':
      return ctx.scheme
    default:
      return ctx.decision.params[word.slice('param.'.length)] ?? ''
  }
}

type Render = (ctx: FilterContext) => string

function compileValue(text: string): Render {
  if (!text.includes('{')) return () => text
  return (ctx) => text.replaceAll(PLACEHOLDER, (_, word: string) => lookUp(word, ctx))
}

function compileEdits(
  options: z.output<typeof edits>,
): ((ctx: FilterContext, headers: Headers) => void) | undefined {
  const { remove } = options
  const set = Object.entries(options.set).map(([key, text]) => [key, compileValue(text)] as const)
  const add = Object.entries(options.add).map(([key, text]) => [key, compileValue(text)] as const)
  if (remove.length + set.length + add.length === 0) return undefined
  return (ctx, headers) => {
    for (const key of remove) headers.delete(key)
    for (const [key, render] of set) headers.set(key, render(ctx))
    for (const [key, render] of add) headers.append(key, render(ctx))
  }
}

/** Edits headers on the way in and out; values may hold placeholders such as `{client.ip}`. */
export const headers = defineFilter({
  name: 'headers',
  summary:
    'Edits headers; values may hold {client.ip}, {request.id}, {route}, {host}, {scheme}, {param.NAME}.',
  options: z.strictObject({
    request: edits.describe('On the way in: remove, set, add.'),
    response: edits.describe('On the way out: remove, set, add.'),
  }),
  create(options) {
    const request = compileEdits(options.request)
    const response = compileEdits(options.response)
    return {
      ...(request === undefined
        ? {}
        : {
            inbound: (ctx) => {
              request(ctx, ctx.headers)
              return undefined
            },
          }),
      ...(response === undefined
        ? {}
        : {
            outbound: (ctx, answer) => {
              response(ctx, answer.headers)
              return undefined
            },
          }),
    }
  },
})
