import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, isAbsolute, join } from 'node:path'
import { errorText, GatewayError } from '../core/errors.ts'
import { type Exclusion, exclusionRules } from './exclusions.ts'
import { missingRules } from './library.ts'
import type { RulePart } from './types.ts'

/** What a rule set is made from. All of it is checked by `setupText` before it becomes a directive. */
export interface RuleOptions {
  /** Folder of the Core Rule Set's rules; undefined = only `files`. */
  readonly crs: string | undefined
  /** 1 to 4; detection at or above blocking: stricter rules run, but only for the log. */
  readonly paranoia: { readonly blocking: number; readonly detection: number }
  /** Points at which a request or an answer is refused. */
  readonly thresholds: { readonly inbound: number; readonly outbound: number }
  readonly methods: readonly string[]
  /** Media types of request bodies, lower case. */
  readonly contentTypes: readonly string[]
  /** undefined = request bodies are not looked at. */
  readonly body: { readonly maxBytes: number; readonly maxArguments: number } | undefined
  /** undefined = answer bodies are not looked at. */
  readonly answerBody: { readonly maxBytes: number; readonly types: readonly string[] } | undefined
  readonly exclusions: readonly Exclusion[]
  /** Rule files of the operator's own, loaded before those of the Core Rule Set. */
  readonly files: readonly string[]
}

/** A rule set ready to be loaded. */
export interface RuleSource {
  readonly parts: readonly RulePart[]
  /** Equal for equal rules: such sets are loaded once. */
  readonly digest: string
  /** Files whose change makes it another one. */
  readonly watched: readonly string[]
  /** What is odd, but no mistake. */
  readonly warnings: readonly string[]
}

/** 941310 looks for `<` and `>` of 7-bit ASCII with a high bit, as old browsers read them: Cyrillic text is full of them. */
const NOT_FOR_UTF8 = 'SecRuleRemoveById 941310'

/** Adds up scores for the log of another product; ours has them already. */
const LEFT_OUT = /^RESPONSE-980-/

const JSON_TYPE = '^(?:application|text)/(?:[a-z0-9._+-]*[+-])?json(?:[ ;]|$)'
const XML_TYPE = '^(?:application|text)/(?:[a-z0-9._+-]*[+])?xml(?:[ ;]|$)'
const PARSED_TYPE =
  '^(?:application/x-www-form-urlencoded|multipart/form-data|(?:application|text)/(?:[a-z0-9._+-]*[+-])?(?:json|xml))(?:[ ;]|$)'

function invalid(text: string): GatewayError {
  return new GatewayError('GW_CONFIG_INVALID', text)
}

/** Anything that could end a directive or begin another one is refused, not escaped. */
function checked(values: readonly string[], pattern: RegExp, what: string): readonly string[] {
  for (const value of values) if (!pattern.test(value)) throw invalid(`"${value}" is no ${what}`)
  return values
}

function whole(value: number, min: number, max: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw invalid(`${what} must be a whole number from ${min} to ${max}`)
  }
  return value
}

const set = (id: number, ...variables: readonly string[]) =>
  `SecAction "id:${id},phase:1,pass,nolog,t:none,${variables.map((each) => `setvar:'tx.${each}'`).join(',')}"`

/** What a body is parsed as, and what a body is that cannot be parsed: an attack's sign (ModSecurity's own advice). */
function bodyRules({ maxBytes, maxArguments }: NonNullable<RuleOptions['body']>): string[] {
  whole(maxBytes, 1, 1 << 30, 'requestBody.maxBytes')
  whole(maxArguments, 1, 100_000, 'requestBody.maxArguments')
  const type = (id: number, pattern: string, action: string, not = '') =>
    `SecRule REQUEST_HEADERS:Content-Type "${not}@rx ${pattern}" "id:${id},phase:1,pass,nolog,t:none,t:lowercase,${action}"`
  const refuse = (id: number, test: string, message: string) =>
    `SecRule ${test} "id:${id},phase:2,t:none,deny,status:403,log,severity:2,msg:'${message}'"`
  return [
    'SecRequestBodyAccess On',
    `SecRequestBodyLimit ${maxBytes}`,
    `SecRequestBodyNoFilesLimit ${maxBytes}`,
    'SecRequestBodyLimitAction ProcessPartial',
    `SecArgumentsLimit ${maxArguments}`,
    'SecRequestBodyJsonDepthLimit 64',
    type(8_880_010, JSON_TYPE, 'ctl:requestBodyProcessor=JSON'),
    type(8_880_011, XML_TYPE, 'ctl:requestBodyProcessor=XML'),
    type(8_880_012, PARSED_TYPE, 'ctl:forceRequestBodyVariable=On', '!'),
    refuse(8_880_020, `&ARGS "@ge ${maxArguments}"`, 'The request has too many arguments'),
    // Of a body that was cut off for inspection, the end is missing: that is no mistake of the client.
    `SecRule UNIQUE_ID "@contains ${PARTIAL_MARK}" "id:8880021,phase:2,pass,nolog,t:none,skipAfter:SLUICE-WHOLE-BODY"`,
    refuse(8_880_022, 'REQBODY_ERROR "!@eq 0"', 'The request body cannot be parsed'),
    refuse(8_880_023, 'MULTIPART_STRICT_ERROR "!@eq 0"', 'The multipart body is malformed'),
    refuse(8_880_024, 'MULTIPART_UNMATCHED_BOUNDARY "@eq 1"', 'The multipart body has an unmatched boundary'),
    'SecMarker SLUICE-WHOLE-BODY',
  ]
}

function answerRules({ maxBytes, types }: NonNullable<RuleOptions['answerBody']>): string[] {
  whole(maxBytes, 1, 1 << 30, 'response.body.maxBytes')
  return [
    'SecResponseBodyAccess On',
    `SecResponseBodyLimit ${maxBytes}`,
    'SecResponseBodyLimitAction ProcessPartial',
    `SecResponseBodyMimeType ${checked(types, MEDIA_TYPE, 'media type').join(' ')}`,
  ]
}

const METHOD = /^[A-Z][A-Z-]{0,29}$/
/** `type/subtype` without signs that mean something in a directive (RFC 6838 §4.2, narrowed). */
const MEDIA_TYPE = /^[a-z0-9][a-z0-9!#&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#&^_.+-]{0,126}$/

/** Stands in a transaction's id when its body is only the beginning. */
const PARTIAL_MARK = '~partial~'

const markOf = (route: string) => `~route=${encodeURIComponent(route).replaceAll('~', '%7E')}~`

/** The id of a transaction, with what our own rules want to know. Request ids hold no `~`. */
export function transactionId(requestId: string, route: string, isPartial: boolean): string {
  return `${requestId.replaceAll('~', '_')}${markOf(route)}${isPartial ? PARTIAL_MARK : ''}`
}

/** Engine and Core Rule Set settings. Throws GW_CONFIG_INVALID for a value that has no place in a directive. */
export function setupText(options: RuleOptions): string {
  const { paranoia, thresholds } = options
  const blocking = whole(paranoia.blocking, 1, 4, 'paranoia.blocking')
  const detection = whole(paranoia.detection, blocking, 4, 'paranoia.detection')
  const methods = checked(options.methods, METHOD, 'method').join(' ')
  const types = checked(options.contentTypes, MEDIA_TYPE, 'media type')
    .map((each) => `|${each}|`)
    .join(' ')
  return `${[
    'SecRuleEngine On',
    'SecAuditEngine Off',
    NOT_FOR_UTF8,
    'SecXmlExternalEntity Off',
    'SecPcreMatchLimit 100000',
    'SecPcreMatchLimitRecursion 100000',
    // `auditlog`, although there is none: with `noauditlog` the library does not tell us of hits either.
    'SecDefaultAction "phase:1,log,auditlog,pass"',
    'SecDefaultAction "phase:2,log,auditlog,pass"',
    'SecDefaultAction "phase:3,log,auditlog,pass"',
    'SecDefaultAction "phase:4,log,auditlog,pass"',
    ...(options.body === undefined ? ['SecRequestBodyAccess Off'] : bodyRules(options.body)),
    ...(options.answerBody === undefined ? ['SecResponseBodyAccess Off'] : answerRules(options.answerBody)),
    set(
      8_880_001,
      'crs_setup_version=334',
      `paranoia_level=${blocking}`,
      `executing_paranoia_level=${detection}`,
      `inbound_anomaly_score_threshold=${whole(thresholds.inbound, 1, 100_000, 'thresholds.inbound')}`,
      `outbound_anomaly_score_threshold=${whole(thresholds.outbound, 1, 100_000, 'thresholds.outbound')}`,
      `allowed_methods=${methods}`,
      `allowed_request_content_type=${types}`,
    ),
  ].join('\n')}\n`
}

function crsFiles(folder: string): string[] {
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch {
    throw missingRules(folder)
  }
  const files = names.filter((name) => name.endsWith('.conf') && !LEFT_OUT.test(name)).sort()
  if (files.length === 0) throw missingRules(folder)
  return files.map((name) => join(folder, name))
}

const DATA_FILE = /(@(?:pmFromFile|pmf|ipMatchFromFile|ipMatchF)\s+)([^\s"]+)/gi

/**
 * A rule file of the operator's as text: a worker that is started again must load what was found good, not what the file
 * holds by then. Names of data files become absolute, because a text has no folder.
 */
function readOwn(path: string, watched: Set<string>): RulePart {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new GatewayError(
      'GW_CONFIG_INVALID',
      `${path}: the rule file cannot be read: ${errorText(cause)}`,
      { cause },
    )
  }
  watched.add(path)
  const resolved = text.replace(DATA_FILE, (all, operator: string, name: string) => {
    const absolute = isAbsolute(name) ? name : join(dirname(path), name)
    if (!existsSync(absolute)) return all
    watched.add(absolute)
    return `${operator}${absolute}`
  })
  // Without a line end after the last directive the library's parser begins the next text in the middle of it.
  return { kind: 'text', text: `${resolved}\n`, label: path }
}

function knownIds(texts: readonly string[]): ReadonlySet<number> {
  const ids = new Set<number>()
  for (const text of texts) for (const [, id] of text.matchAll(/["',\s]id:'?(\d+)/g)) ids.add(Number(id))
  return ids
}

/**
 * Reads the files and puts the rule set together. Throws GW_CONFIG_INVALID (a value, an unreadable file) and
 * GW_WAF_LIBRARY (no Core Rule Set).
 */
export function buildRules(options: RuleOptions): RuleSource {
  const watched = new Set<string>()
  const crs = options.crs === undefined ? [] : crsFiles(options.crs)
  const own = options.files.map((path) => readOwn(path, watched))
  const setup = setupText(options)
  const crsTexts = crs.map((path) => readFileSync(path, 'utf8'))
  const ids = knownIds([...crsTexts, ...own.map((part) => (part.kind === 'text' ? part.text : ''))])
  const exclusions = exclusionRules(options.exclusions, ids, markOf)
  const parts: RulePart[] = [
    { kind: 'text', text: setup, label: 'the settings of the waf filter' },
    { kind: 'text', text: exclusions.text, label: 'the exclusions of the waf filter' },
    ...own,
    ...crs.map((path): RulePart => ({ kind: 'file', path })),
  ]
  const hash = createHash('sha256')
  for (const part of parts) hash.update(`${part.kind === 'text' ? part.text : part.path}\0`)
  for (const text of crsTexts) hash.update(text)
  for (const path of watched) hash.update(readFileSync(path))
  return { parts, digest: hash.digest('hex'), watched: [...watched], warnings: exclusions.warnings }
}

/** What libmodsecurity says of a part, as `file:line:column: text`. */
export function describeRuleError(part: RulePart, problem: string): string {
  const name = part.kind === 'file' ? part.path : part.label
  const place = /Rules error\. File: (.*?)\. Line: (\d+)\. Column: (\d+)\.\s*([\s\S]*)$/.exec(problem)
  if (place !== null) {
    const [, file = '', line, column, text = ''] = place
    const named = file.startsWith('<<') || part.kind === 'text' ? name : file
    return `${named}:${line}:${column}: ${text.trim().replace(/\s+/g, ' ')}`
  }
  const line = /at line: (\d+)/i.exec(problem)?.[1]
  const text = problem
    .replace(/\s*File: 0x[0-9a-f]+( at line: \d+)?/i, '')
    .trim()
    .replace(/\s+/g, ' ')
  return `${name}${line === undefined ? '' : `:${line}`}: ${text}`
}
