import { GatewayError } from '../core/errors.ts'

/** What is not to be checked, and where. */
export interface Exclusion {
  /** Numbers (`942100`), ranges (`942000-942999`) and tags (`attack-sqli`). */
  readonly rules: readonly (number | string)[]
  /** Only this argument of query or body is not checked by the rules; else they do not run at all. */
  readonly parameter?: string | undefined
  readonly header?: string | undefined
  readonly cookie?: string | undefined
  /** Only on the route of this name. */
  readonly route?: string | undefined
}

type Selector =
  | { readonly kind: 'id'; readonly from: number; readonly to: number }
  | { readonly kind: 'tag'; readonly tag: string }

const RANGE = /^(\d{1,9})(?:-(\d{1,9}))?$/
/** Tags and targets end at these in a directive: `,` `;` `"` `'`, blanks. */
const TAG = /^[A-Za-z_][\w./-]{0,99}$/
const TARGET = /^[\w.[\]$@:-]{1,100}$/

/** First number of the rules that exclusions become. */
const FIRST_ID = 8_880_100

/** A number, a range or a tag. */
export function isExclusionRule(rule: number | string): boolean {
  return parseSelector(String(rule)) !== undefined
}

/** A name that can stand in a directive. */
export function isExclusionTarget(name: string): boolean {
  return TARGET.test(name)
}

function parseSelector(text: string): Selector | undefined {
  const range = RANGE.exec(text)
  if (range !== null) {
    const from = Number(range[1])
    const to = Number(range[2] ?? range[1])
    if (to >= from) return { kind: 'id', from, to }
  } else if (TAG.test(text)) {
    return { kind: 'tag', tag: text }
  }
  return undefined
}

function selectorOf(rule: number | string): Selector {
  const selector = parseSelector(String(rule))
  if (selector !== undefined) return selector
  throw new GatewayError(
    'GW_CONFIG_INVALID',
    `exclusions: "${rule}" is no rule; write a number, a range 942000-942999 or a tag attack-sqli`,
  )
}

function targetOf(exclusion: Exclusion): string | undefined {
  const named = [
    ['ARGS', exclusion.parameter],
    ['REQUEST_HEADERS', exclusion.header],
    ['REQUEST_COOKIES', exclusion.cookie],
  ].filter((pair): pair is [string, string] => pair[1] !== undefined)
  const [first, second] = named
  if (first === undefined) return undefined
  if (second !== undefined) {
    throw new GatewayError('GW_CONFIG_INVALID', 'exclusions: name one of parameter, header and cookie')
  }
  const [collection, name] = first
  if (!TARGET.test(name)) {
    throw new GatewayError(
      'GW_CONFIG_INVALID',
      `exclusions: "${name}" cannot be named; letters, digits and _ . - [ ] $ @ : are possible`,
    )
  }
  return `${collection}:${name}`
}

function actionsOf(selector: Selector, target: string | undefined, ids: ReadonlySet<number>): string[] {
  if (selector.kind === 'tag') {
    return [
      target === undefined
        ? `ctl:ruleRemoveByTag=${selector.tag}`
        : `ctl:ruleRemoveTargetByTag=${selector.tag};${target}`,
    ]
  }
  const { from, to } = selector
  if (target === undefined) return [`ctl:ruleRemoveById=${from === to ? from : `${from}-${to}`}`]
  // The library takes no range here.
  return [...ids]
    .filter((id) => id >= from && id <= to)
    .map((id) => `ctl:ruleRemoveTargetById=${id};${target}`)
}

/**
 * Exclusions as directives that stand before the rules they name. They are worked out for each transaction, because the
 * static forms (SecRuleUpdateTargetById) take no route and leave libmodsecurity's parser in a state of its own.
 * `ids`: the rules that there are. Throws GW_CONFIG_INVALID.
 */
export function exclusionRules(
  exclusions: readonly Exclusion[],
  ids: ReadonlySet<number>,
  markOf: (route: string) => string,
): { readonly text: string; readonly warnings: readonly string[] } {
  const lines: string[] = []
  const warnings: string[] = []
  exclusions.forEach((exclusion, index) => {
    const target = targetOf(exclusion)
    const selectors = exclusion.rules.map(selectorOf)
    for (const selector of selectors) {
      if (selector.kind !== 'id') continue
      const { from, to } = selector
      if (![...ids].some((id) => id >= from && id <= to)) {
        warnings.push(`exclusions.${index}: there is no rule ${from === to ? from : `${from}-${to}`}`)
      }
    }
    const actions = selectors.flatMap((selector) => actionsOf(selector, target, ids))
    if (actions.length === 0) return
    const settings = `id:${FIRST_ID + index},phase:1,pass,nolog,t:none`
    const { route } = exclusion
    lines.push(
      route === undefined
        ? `SecAction "${settings},${actions.join(',')}"`
        : `SecRule UNIQUE_ID "@contains ${markOf(route)}" "${settings},${actions.join(',')}"`,
    )
  })
  return { text: `${lines.join('\n')}\n`, warnings }
}
