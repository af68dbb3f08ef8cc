import { z } from 'zod'
import { matchEntry, selector } from './canary-match.ts'
import { guard, mirror, percent, ramp } from './canary-ramp.ts'
import { duration, headerName, name } from './values.ts'

/** Canary rules and lanes as people write them, in sluice.yaml and canary.d. */

const RESERVED = 'stable'

const key = z.string().regex(/^(?:claim\.\S+|header\.[A-Za-z0-9-]+|cookie\.[^\s;=]+|ip)$/, {
  error: 'write claim.NAME, header.NAME, cookie.NAME or ip',
})

/** It is taken away from every request of a stranger: no header that means something else to anybody. */
const decisionHeader = () =>
  headerName().refine((value) => /^x-(?!forwarded-|real-ip$|request-id$|sluice-)/.test(value), {
    message: 'clients could not send this header any more',
    params: { fix: 'write a header of your own that begins with x-' },
  })

const COOKIE_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

const cookie = z
  .strictObject({
    name: z.string().regex(COOKIE_NAME, { error: 'write a cookie name: letters, digits, - and _' }),
    maxAge: duration().default(2_592_000_000).describe('How long it lives. Default 30d.'),
    secure: z.boolean().default(true).describe('Only over https. Default true.'),
    sameSite: z.enum(['lax', 'strict', 'none']).default('lax').describe('Default lax.'),
  })
  .refine((value) => value.sameSite !== 'none' || value.secure, {
    message: 'browsers drop a cookie with sameSite none that is not secure',
    path: ['secure'],
    params: { fix: 'set secure: true, or sameSite: lax' },
  })
  .refine((value) => value.maxAge >= 1000, {
    message: 'the cookie would be gone at once',
    path: ['maxAge'],
    params: { fix: 'write at least 1s' },
  })

const common = {
  name: name().describe('Unique over all rules and lanes.'),
  routes: z
    .array(z.string().min(1))
    .min(1)
    .default(['*'])
    .describe('Names of routes; "*" = all. Default ["*"].'),
  match: z
    .array(matchEntry)
    .default([])
    .describe('In order; the first entry whose conditions all hold pins the side, whatever the percentage.'),
  key: z
    .array(key)
    .min(1)
    .optional()
    .describe(
      'What a user is recognised by, the first one present: claim.sub, header.x-user-id, cookie.NAME, ip. Default [claim.sub, the cookie] when there is a cookie, else [claim.sub, ip].',
    ),
  cookie: cookie
    .optional()
    .describe('Given to clients that no claim, header or cookie recognises: a random id, HttpOnly.'),
  salt: z
    .string()
    .min(1)
    .optional()
    .describe('Rules with the same salt take the same users first. Default: each rule by itself.'),
}

const isName = (side: string, names: readonly string[]) => side === RESERVED || names.includes(side)

function checkSides(
  match: readonly { readonly side: string }[],
  names: readonly string[],
  ctx: z.RefinementCtx,
): void {
  match.forEach(({ side }, i) => {
    if (isName(side, names)) return
    ctx.addIssue({
      code: 'custom',
      message: `there is no side "${side}"`,
      path: ['match', i, 'side'],
      params: { fix: `write one of ${[...names, RESERVED].join(', ')}` },
    })
  })
}

const variant = z.strictObject({
  name: name().describe('For match, metrics and the decision header.'),
  select: selector,
  percent: percent().default(0).describe('Share of the traffic, two decimals. Default 0.'),
})

function checkVariants(
  variants: readonly { readonly name: string; readonly percent: number }[],
  ctx: z.RefinementCtx,
): void {
  variants.forEach((one, i) => {
    const isTaken = one.name === RESERVED || variants.findIndex((other) => other.name === one.name) < i
    if (!isTaken) return
    ctx.addIssue({
      code: 'custom',
      message: `"${one.name}" is taken`,
      path: ['variants', i, 'name'],
      params: { fix: 'give each variant a name of its own; stable is everybody else' },
    })
  })
  const sum = variants.reduce((total, one) => total + one.percent, 0)
  if (sum <= 10_000) return
  ctx.addIssue({
    code: 'custom',
    message: `the variants take ${sum / 100}% together`,
    path: ['variants'],
    params: { fix: 'at most 100; what is left is stable' },
  })
}

/** One entry of `canaries`. */
export const canary = z
  .strictObject({
    ...common,
    service: name().describe('The service whose instances are told apart.'),
    stable: selector.optional().describe('Default: every instance that no other side selects.'),
    canary: selector.optional().describe('The new version.'),
    variants: z
      .array(variant)
      .min(1)
      .optional()
      .describe('For experiments: several versions beside stable, in the place of canary and percent.'),
    percent: percent()
      .optional()
      .describe(
        'Share of the traffic for the canary, two decimals, whatever the number of instances. Default 0.',
      ),
    forward: decisionHeader()
      .default('x-canary')
      .describe(
        'Request header that tells services and inner gateways the side; believed from trustedProxies only. Default x-canary.',
      ),
    whenCanaryEmpty: z
      .enum(['stable', 'fail'])
      .default('stable')
      .describe(
        'No instance of the side is there: stable = stable answers (counted); fail = 503. Default stable.',
      ),
    ramp: ramp.optional().describe('How the share grows by itself.'),
    guard: guard.optional().describe('What takes it back.'),
    mirror: mirror.optional().describe('Also send a copy of requests to the canary.'),
  })
  .superRefine((value, ctx) => {
    const issue = (path: PropertyKey[], message: string, fix: string) =>
      ctx.addIssue({ code: 'custom', path, message, params: { fix } })
    if (value.canary === undefined && value.variants === undefined)
      issue(
        [],
        `rule "${value.name}" has no side beside stable`,
        'add canary: { version: "2.*" }, or variants',
      )
    if (value.variants !== undefined) {
      for (const own of ['canary', 'percent', 'ramp', 'guard', 'mirror'] as const) {
        if (value[own] !== undefined)
          issue([own], `${own} and variants exclude each other`, 'keep one of them')
      }
      checkVariants(value.variants, ctx)
    }
    checkSides(value.match, value.variants?.map((one) => one.name) ?? ['canary'], ctx)
    const first = value.ramp?.steps[0]
    if (first !== undefined && (value.percent ?? 0) > first.percent)
      issue(['percent'], 'the rule starts above the first step of its ramp', 'leave percent out, or lower it')
    value.guard?.keepPins.forEach((pin, i) => {
      if (value.match.some((entry) => entry.name === pin)) return
      issue(['guard', 'keepPins', i], `no match entry has the name "${pin}"`, 'name the entry')
    })
  })
  .describe('One release of one service.')

/** One entry of `lanes`. */
export const lane = z
  .strictObject({
    ...common,
    select: selector
      .optional()
      .describe('The lane’s instances, of every service that `services` does not name.'),
    services: z.record(name(), selector).default({}).describe('The lane’s instances by service.'),
    percent: percent().default(0).describe('Share of the requests that enter it, two decimals. Default 0.'),
    header: decisionHeader()
      .default('x-lane')
      .describe(
        'Request header that carries the lane on; believed from trustedProxies only. Default x-lane.',
      ),
    whenEmpty: z
      .enum(['stable', 'fail'])
      .default('stable')
      .describe(
        'A service of `services` has no such instance: stable = stable answers (counted); fail = 503. Default stable.',
      ),
  })
  .superRefine((value, ctx) => {
    if (value.select === undefined && Object.keys(value.services).length === 0) {
      ctx.addIssue({
        code: 'custom',
        message: `lane "${value.name}" selects nothing`,
        params: { fix: 'give it select: { meta: { lane: … } }, or services' },
      })
    }
    if (value.name === RESERVED) {
      ctx.addIssue({
        code: 'custom',
        message: '"stable" means: in no lane',
        path: ['name'],
        params: { fix: 'give the lane another name' },
      })
    }
    checkSides(value.match, [value.name], ctx)
  })
  .describe('One release over several services.')

export const canaryShape = {
  canaries: z
    .array(canary)
    .default([])
    .describe('Canary rules; of one service the first with a verdict wins.'),
  lanes: z.array(lane).default([]).describe('Releases over several services; the first with a verdict wins.'),
}

/** canary.d/*.yaml */
export const canaryFile = z.strictObject({
  version: z
    .literal(1, { error: 'must be 1' })
    .optional()
    .describe('Version of this format: 1. May be left out.'),
  ...canaryShape,
})

export type CanaryInput = z.output<typeof canary>
export type LaneInput = z.output<typeof lane>
export type CanaryFile = z.output<typeof canaryFile>
