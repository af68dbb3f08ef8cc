import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import {
  type Document,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
} from 'yaml'
import type { z } from 'zod'
import { errorText } from '../core/errors.ts'
import { knownKeys } from './known-keys.ts'
import { type ConfigProblem, didYouMean } from './problems.ts'

type Path = readonly PropertyKey[]

/** How a text may refer to what is outside of it. */
export interface DocumentPlace {
  /** Relative paths begin here. Default: that of the file. */
  readonly folder: string
  /** Not from a file of the gateway: `${FILE:…}` is refused, `${ENV:…}` only names what this lets through. */
  mayName(variable: string): boolean
}

/** One YAML file: its values with references resolved, and where each key stands. */
export class ConfigDocument {
  readonly file: string
  /** What relative paths in it are relative to. */
  readonly folder: string
  /** Plain values; undefined when the YAML itself is broken. */
  readonly value: unknown
  readonly problems: ConfigProblem[] = []
  /** Files that `${FILE:…}` named. */
  readonly references: string[] = []
  readonly #lines: readonly string[]
  readonly #counter = new LineCounter()
  readonly #document: Document.Parsed
  readonly #place: DocumentPlace | undefined

  constructor(file: string, text: string, env: NodeJS.ProcessEnv, place?: DocumentPlace) {
    this.file = file
    this.folder = place?.folder ?? dirname(file)
    this.#place = place
    this.#lines = text.split('\n')
    this.#document = parseDocument(text, {
      lineCounter: this.#counter,
      version: '1.2',
      uniqueKeys: true,
      merge: true,
      prettyErrors: false,
    })
    for (const error of this.#document.errors) {
      this.#add(error.pos[0], '', error.message.split('\n')[0] ?? 'no YAML', 'mend the YAML here')
    }
    if (this.problems.length > 0) return
    this.#resolveReferences(env)
    try {
      this.value = this.#document.toJS({ maxAliasCount: 100 }) ?? {}
    } catch (thrown) {
      this.#add(0, '', errorText(thrown), 'use fewer aliases')
    }
  }

  #add(offset: number, path: string, message: string, fix: string): void {
    const { line, col } = this.#counter.linePos(offset)
    this.problems.push({ ...this.#excerpt(line, col), path, severity: 'error', message, fix })
  }

  #excerpt(line: number, column: number) {
    const excerpt = this.#lines[line - 1]
    return { file: this.file, line, column, ...(excerpt === undefined ? {} : { excerpt }) }
  }

  /** `${ENV:NAME}`, `${ENV:NAME:-default}`, `${FILE:path}` in texts, after parsing: a value never becomes YAML. */
  #resolveReferences(env: NodeJS.ProcessEnv): void {
    visit(this.#document, {
      Scalar: (key, node, ancestors) => {
        if (key === 'key' || typeof node.value !== 'string' || !node.value.includes('${')) return
        node.value = node.value.replaceAll(
          /\$?\$\{(?:(ENV|FILE):)?([^}]*)\}/g,
          (all, kind: string | undefined, rest: string) => {
            if (all.startsWith('$$')) return all.slice(1)
            if (kind === undefined) return all
            return this.#resolve(kind, rest, env, node.range?.[0] ?? 0, pathTo(node, ancestors))
          },
        )
      },
    })
  }

  #resolve(kind: string, rest: string, env: NodeJS.ProcessEnv, offset: number, where: string): string {
    if (kind === 'ENV') {
      const [, variable = rest, fallback] = /^(\w+):-(.*)$/s.exec(rest) ?? []
      if (this.#place?.mayName(variable) === false) {
        const fix = `add it to configuration.environment of each gateway, or take it out`
        this.#add(offset, where, `environment variable ${variable} may not be named in the store`, fix)
        return ''
      }
      const value = env[variable]
      if (value !== undefined && value !== '') return value
      if (fallback !== undefined) return fallback
      this.#add(
        offset,
        where,
        `environment variable ${variable} is not set`,
        `set it, or write \${ENV:${variable}:-default}`,
      )
      return ''
    }
    if (this.#place !== undefined) {
      const fix = 'use ${ENV:…}, or put this file into routes.d of each gateway'
      this.#add(offset, where, 'files of a gateway may not be named in the store', fix)
      return ''
    }
    const path = resolve(this.folder, rest)
    this.references.push(path)
    try {
      return readFileSync(path, 'utf8').replace(/\r?\n$/, '')
    } catch (thrown) {
      this.#add(offset, where, `${path} cannot be read: ${errorText(thrown)}`, 'create it, or mend the path')
      return ''
    }
  }

  /** Line and column of a key or value; of its nearest parent that exists. */
  locate(path: Path): { line: number; column: number } {
    let node: Node | null = this.#document.contents
    let offset = node?.range?.[0] ?? 0
    for (const step of path) {
      if (isMap(node)) {
        const pair = node.items.find(
          (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(step),
        )
        if (pair === undefined) break
        offset = (pair.key as Node).range?.[0] ?? offset
        node = pair.value as Node | null
      } else if (isSeq(node)) {
        node = (node.items[Number(step)] as Node | undefined) ?? null
        offset = node?.range?.[0] ?? offset
      } else break
    }
    const { line, col } = this.#counter.linePos(offset)
    return { line, column: col }
  }

  /** `file:line:column` of a key. */
  source(path: Path): string {
    const { line, column } = this.locate(path)
    return `${this.file}:${line}:${column}`
  }

  /** A problem at a key. */
  problem(path: Path, message: string, fix: string, severity: 'error' | 'warning' = 'error'): ConfigProblem {
    const { line, column } = this.locate(path)
    return { ...this.#excerpt(line, column), path: pathText(path), severity, message, fix }
  }

  /** What zod found, as problems with their places. */
  fromIssues(schema: z.core.$ZodType, issues: readonly z.core.$ZodIssue[], base: Path = []): ConfigProblem[] {
    return issues.flatMap((issue) => this.#fromIssue(schema, issue, base))
  }

  #fromIssue(schema: z.core.$ZodType, issue: z.core.$ZodIssue, base: Path): ConfigProblem[] {
    const path = [...base, ...issue.path]
    switch (issue.code) {
      case 'unrecognized_keys':
        return issue.keys.map((key) => {
          const near = didYouMean(key, knownKeys(schema, issue.path))
          const fix =
            near === undefined
              ? 'remove it, or see docs/config.md for the keys there are'
              : `did you mean "${near}"?`
          return this.problem([...path, key], `unknown key "${key}"`, fix)
        })
      case 'invalid_union':
        return this.#fromUnion(schema, issue, base)
      case 'invalid_key':
        return this.fromIssues(
          schema,
          issue.issues.map((inner) => ({ ...inner, path: issue.path })),
          base,
        )
      case 'custom':
        return [this.problem(path, issue.message, String(issue.params?.['fix'] ?? ''))]
      case 'invalid_type':
        return [this.#wrongType(issue, path)]
      case 'invalid_value': {
        const values = issue.values.map(String)
        const near = didYouMean(String(issue.input ?? ''), values)
        const fix =
          near === undefined
            ? `write one of ${values.join(', ')}`
            : `did you mean "${near}"? There are ${values.join(', ')}`
        return [this.problem(path, issue.message.replace(/^Invalid option: expected/, 'expected'), fix)]
      }
      case 'too_small':
        return [this.problem(path, issue.message, `write at least ${issue.minimum}${unitOf(issue.origin)}`)]
      case 'invalid_format':
        return [
          this.problem(
            path,
            issue.message,
            issue.format === 'url' ? 'write it as http://host:port' : 'see docs/config.md',
          ),
        ]
      case 'too_big':
        return [this.problem(path, issue.message, `write at most ${issue.maximum}${unitOf(issue.origin)}`)]
      default:
        return [this.problem(path, issue.message, 'see docs/config.md')]
    }
  }

  /** The branch that came furthest speaks: it names the real mistake. */
  #fromUnion(schema: z.core.$ZodType, issue: z.core.$ZodIssueInvalidUnion, base: Path): ConfigProblem[] {
    const path = [...base, ...issue.path]
    if (issue.discriminator !== undefined) {
      const { discriminator, input } = issue
      const given = isRecord(input) ? input[discriminator] : undefined
      const known = ('options' in issue ? (issue.options ?? []) : []).map(String)
      const near = didYouMean(String(given ?? ''), known)
      const all = `there are ${known.join(', ')}`
      const message = given === undefined ? `key "${discriminator}" is missing` : `unknown ${discriminator}`
      return [this.problem(path, message, near === undefined ? all : `did you mean "${near}"? ${all}`)]
    }
    const number = issue.errors
      .flat()
      .find((inner) => inner.code === 'invalid_value' && inner.values[0] === 0)
    if (typeof number?.input === 'number') {
      // A duration or a size: the only ones that take a text or a plain 0.
      return [
        this.problem(path, `${number.input} has no unit`, 'write it with its unit: 250ms, 15s; 64KiB, 10MB'),
      ]
    }
    const depth = (inner: readonly z.core.$ZodIssue[]) =>
      Math.max(
        0,
        ...inner.map(
          (each) => each.path.length + (each.code === 'invalid_type' && each.path.length === 0 ? -1 : 0),
        ),
      )
    const own = issue.errors.filter(
      (inner) => !inner.some((each) => each.code === 'invalid_type' && each.path.length === 0),
    )
    const best = (own.length > 0 ? own : issue.errors).toSorted(
      (a, b) => depth(b) - depth(a) || a.length - b.length,
    )[0]
    return best === undefined
      ? [this.problem(path, issue.message, 'see docs/config.md')]
      : this.fromIssues(
          schema,
          best.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] })),
          base,
        )
  }

  /** A plain value as it stands in the file: 2.0 is another version than 2. */
  #written(path: Path): string | undefined {
    const node = this.#document.getIn(path, true)
    return isScalar(node) && typeof node.source === 'string' ? node.source : undefined
  }

  #wrongType(issue: z.core.$ZodIssueInvalidType, path: Path): ConfigProblem {
    const got = typeName(issue.input)
    if (issue.input === undefined) {
      const key = String(path.at(-1) ?? '')
      return this.problem(path, `key "${key}" is missing`, `add it: ${key}: …`)
    }
    const fix =
      issue.expected === 'string' && (got === 'number' || got === 'boolean')
        ? `quote it: "${this.#written(path) ?? String(issue.input)}"`
        : `write a ${issue.expected} here`
    return this.problem(path, `a ${got} stands where a ${issue.expected} is expected`, fix)
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null

/** The keys that lead to a node of the document, as `routes[2].match.path`. */
function pathTo(node: Node, ancestors: readonly unknown[]): string {
  const path: PropertyKey[] = []
  ancestors.forEach((parent, i) => {
    if (isPair(parent)) path.push(isScalar(parent.key) ? String(parent.key.value) : '?')
    else if (isSeq(parent)) path.push(parent.items.indexOf(ancestors[i + 1] ?? node))
  })
  return pathText(path)
}

const unitOf = (origin: string): string =>
  origin === 'string' ? ' characters' : origin === 'array' ? ' entries' : ''

function typeName(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'list' : typeof value
}

/** `routes[2].match.path` */
export function pathText(path: Path): string {
  let text = ''
  for (const step of path)
    text += typeof step === 'number' ? `[${step}]` : text === '' ? String(step) : `.${String(step)}`
  return text
}
