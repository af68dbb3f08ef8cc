import { z } from 'zod'
import { claimAt, type JsonObject } from '../identity/strict-json.ts'

const scalar = () => z.union([z.string(), z.number(), z.boolean()])

/** What a claim must be: exactly this, one of these, or a list that contains it. */
export const claimRule = z.union([
  scalar(),
  z.array(scalar()).min(1),
  z.strictObject({ contains: scalar().describe('The claim is a list with this in it.') }),
  z.strictObject({
    containsAny: z.array(scalar()).min(1).describe('The claim is a list with one of these in it.'),
  }),
])

/** Claims by name or dotted path. */
export const claimRules = z.record(z.string().min(1), claimRule)

/** Scopes that must be there (RFC 6749 §3.3). */
export const scopeRules = z.strictObject({
  all: z.array(z.string().min(1)).default([]).describe('Each of these. Default none.'),
  any: z.array(z.string().min(1)).default([]).describe('One of these. Default none.'),
})

export type ClaimRules = z.output<typeof claimRules>
export type ScopeRules = z.output<typeof scopeRules>

/** Whether claims obey all of the rules. Types count: "1" is not 1. */
export function obeys(claims: JsonObject, rules: ClaimRules): boolean {
  return Object.entries(rules).every(([path, rule]) => isMet(claimAt(claims, path), rule))
}

function isMet(value: unknown, rule: z.output<typeof claimRule>): boolean {
  if (Array.isArray(rule)) return rule.some((each) => each === value)
  if (typeof rule !== 'object') return value === rule
  const wanted: readonly unknown[] = 'contains' in rule ? [rule.contains] : rule.containsAny
  return Array.isArray(value) && wanted.some((each) => value.includes(each))
}

export function hasScopes(scopes: readonly string[], { all, any }: ScopeRules): boolean {
  return (
    all.every((each) => scopes.includes(each)) &&
    (any.length === 0 || any.some((each) => scopes.includes(each)))
  )
}

const textsIn = (list: readonly unknown[]): string[] => list.filter((each) => typeof each === 'string')

/** The scopes of a token: a list, or words with spaces between (RFC 6749 §3.3). The first claim that is there counts. */
export function scopesAt(claims: JsonObject, paths: readonly string[]): readonly string[] {
  for (const path of paths) {
    const value = claimAt(claims, path)
    if (typeof value === 'string') return value.split(' ').filter((word) => word !== '')
    if (Array.isArray(value)) return textsIn(value)
  }
  return []
}

/** Roles or groups: a list, or one as a text. Its spaces are its own: "no admin" is not the role admin. */
export function namesAt(claims: JsonObject, path: string): readonly string[] {
  const value = claimAt(claims, path)
  return textsIn(Array.isArray(value) ? value : [value]).filter((name) => name !== '')
}
