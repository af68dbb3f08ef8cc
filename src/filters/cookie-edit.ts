import type { Headers } from '../core/headers.ts'

const nameOf = (pair: string) => pair.slice(0, Math.max(0, pair.indexOf('='))).trim()

/** All values of a cookie. */
export function cookieValues(headers: Headers, name: string): string[] {
  const pairs = headers.get('cookie')?.split(';') ?? []
  return pairs.filter((pair) => nameOf(pair) === name).map((pair) => pair.slice(pair.indexOf('=') + 1).trim())
}

/** Takes a cookie out; the others stay as they are. */
export function dropCookie(headers: Headers, name: string): void {
  const pairs = headers.get('cookie')?.split(';')
  if (pairs === undefined) return
  const kept = pairs.filter((pair) => nameOf(pair) !== name)
  if (kept.length === pairs.length) return
  if (kept.length === 0) headers.delete('cookie')
  else headers.set('cookie', kept.join(';').trim())
}
