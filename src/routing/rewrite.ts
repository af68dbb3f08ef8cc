import type { RE2JS } from 're2js'
import type { PathRewrite, RouteSpec } from '../core/route.ts'
import { compileRegex } from './conditions.ts'
import { normalisePath } from './normalise.ts'

const regexes = new WeakMap<PathRewrite, RE2JS>()

function regexOf(rewrite: PathRewrite & { kind: 'regex' }): RE2JS {
  let regex = regexes.get(rewrite)
  if (regex === undefined) {
    regex = compileRegex(rewrite.pattern)
    regexes.set(rewrite, regex)
  }
  return regex
}

function segmentCount(prefix: string): number {
  const trimmed = prefix.endsWith('/') ? prefix.slice(0, -1) : prefix
  return trimmed === '' ? 0 : trimmed.split('/').length - 1
}

/** The path without its first `count` segments; begins with `/`. */
function dropSegments(path: string, count: number): string {
  let at = 0
  for (let i = 0; i < count && at !== -1; i++) at = path.indexOf('/', at + 1)
  return at === -1 ? '/' : path.slice(at)
}

const startsWithSegments = (path: string, prefix: string): boolean => {
  const trimmed = prefix.endsWith('/') ? prefix.slice(0, -1) : prefix
  return (
    path.startsWith(trimmed) && (path.length === trimmed.length || path.charCodeAt(trimmed.length) === 47)
  )
}

/**
 * The path that goes upstream. Undefined when the result is no path any more: not normalised, climbing, or not
 * beginning with `/`.
 */
export function rewritePath(
  spec: RouteSpec,
  rewrite: PathRewrite | undefined,
  path: string,
): string | undefined {
  if (rewrite === undefined) return path
  switch (rewrite.kind) {
    case 'strip':
      return startsWithSegments(path, rewrite.prefix)
        ? dropSegments(path, segmentCount(rewrite.prefix))
        : path
    case 'prefix': {
      const { kind, value } = spec.match.path
      const rest = kind === 'prefix' ? dropSegments(path, segmentCount(value)) : ''
      const head = rewrite.value.endsWith('/') ? rewrite.value.slice(0, -1) : rewrite.value
      return rest === '' || rest === '/'
        ? head + (path.endsWith('/') && rest === '/' ? '/' : '') || '/'
        : head + rest
    }
    case 'regex': {
      const result = regexOf(rewrite).matcher(path).replaceFirst(rewrite.replacement)
      return result.startsWith('/') && normalisePath(result, false) === result ? result : undefined
    }
  }
}
