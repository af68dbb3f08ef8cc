import {
  type InnerList,
  isInnerList,
  type Parameters,
  parseDictionary,
  serializeInnerList,
  serializeItem,
} from 'structured-headers'
import type { Headers } from '../core/headers.ts'

/** A request as its client sent it; what a signature is about. */
export interface SignedMessage {
  readonly method: string
  readonly scheme: 'http' | 'https'
  /** `Host` or `:authority` as received. */
  readonly authority: string
  /** The request-target as received. */
  readonly target: string
  /** As received, before the gateway edits them. */
  readonly headers: Headers
}

/** One covered component: `"@method"`, `"content-type"`, `"@query-param";name="x"`. */
export interface Component {
  readonly name: string
  readonly parameters: Parameters
  /** Serialized; equal for equal components. */
  readonly id: string
}

/** One member of `Signature-Input` with its bytes from `Signature`. */
export interface MessageSignature {
  readonly label: string
  readonly components: readonly Component[]
  readonly parameters: Parameters
  readonly signature: Buffer
  /** The value of `@signature-params`. */
  readonly signatureParams: string
}

/** Signatures of one request that are looked at, and components of each: nobody needs more. */
const MAX_SIGNATURES = 8
const MAX_COMPONENTS = 64

function toComponent([value, parameters]: InnerList[0][number]): Component | undefined {
  if (typeof value !== 'string' || value !== value.toLowerCase()) return undefined
  return { name: value, parameters, id: serializeItem([value, parameters]) }
}

function toSignature(label: string, input: InnerList, signature: Buffer): MessageSignature | undefined {
  const [items, parameters] = input
  const components = items.map(toComponent)
  if (components.length > MAX_COMPONENTS || components.includes(undefined)) return undefined
  const all = components as Component[]
  // RFC 9421 §2.5: a component must not stand twice.
  if (new Set(all.map(({ id }) => id)).size !== all.length) return undefined
  return { label, components: all, parameters, signature, signatureParams: serializeInnerList(input) }
}

/**
 * The signatures of a request (RFC 9421 §4). Undefined when the fields cannot be read as such; empty when there are
 * none.
 */
export function parseSignatures(headers: Headers): readonly MessageSignature[] | undefined {
  const inputField = headers.get('signature-input')
  const signatureField = headers.get('signature')
  if (inputField === undefined && signatureField === undefined) return []
  try {
    const inputs = parseDictionary(inputField ?? '')
    const values = parseDictionary(signatureField ?? '')
    if (inputs.size > MAX_SIGNATURES) return undefined
    const signatures: MessageSignature[] = []
    for (const [label, input] of inputs) {
      const value = values.get(label)
      if (!isInnerList(input) || value === undefined || !(value[0] instanceof ArrayBuffer)) return undefined
      const signature = toSignature(label, input, Buffer.from(value[0]))
      if (signature === undefined) return undefined
      signatures.push(signature)
    }
    return signatures
  } catch {
    return undefined
  }
}

/** Path and query of a request-target in origin-form or absolute-form. */
function splitTarget(target: string): { readonly path: string; readonly query: string | undefined } {
  const rest = target.startsWith('/') ? target : target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?]*/i, '')
  const mark = rest.indexOf('?')
  const path = mark === -1 ? rest : rest.slice(0, mark)
  return { path: path === '' ? '/' : path, query: mark === -1 ? undefined : rest.slice(mark) }
}

/** RFC 9421 §2.2.3: lower case, without the scheme's own port. */
function authorityOf({ authority, scheme }: SignedMessage): string {
  return authority.toLowerCase().replace(scheme === 'https' ? /:443$/ : /:80$/, '')
}

/** RFC 9421 §2.2.8: decoded as a form, encoded again; undefined when it is not there exactly once. */
function queryParameter(message: SignedMessage, parameters: Parameters): string | undefined {
  const name = parameters.get('name')
  if (typeof name !== 'string') return undefined
  const encode = (text: string) =>
    encodeURIComponent(text).replace(
      /[!'()*]/g,
      (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
    )
  const values: string[] = []
  for (const [key, value] of new URLSearchParams(splitTarget(message.target).query ?? '')) {
    if (encode(key) === name) values.push(encode(value))
  }
  return values.length === 1 ? values[0] : undefined
}

function derived(message: SignedMessage, { name, parameters }: Component): string | undefined {
  if (name === '@query-param') {
    return parameters.size === 1 ? queryParameter(message, parameters) : undefined
  }
  if (parameters.size > 0) return undefined
  const { path, query } = splitTarget(message.target)
  switch (name) {
    case '@method':
      return message.method
    case '@target-uri':
      return `${message.scheme}://${authorityOf(message)}${path}${query ?? ''}`
    case '@authority':
      return authorityOf(message)
    case '@scheme':
      return message.scheme
    case '@request-target':
      return message.target
    case '@path':
      return path
    case '@query':
      return query ?? '?'
    default:
      return undefined
  }
}

function field(headers: Headers, { name, parameters }: Component): string | undefined {
  const lines = headers.getAll(name).map((line) => line.trim())
  if (lines.length === 0) return undefined
  if (parameters.size === 0) return lines.join(', ')
  if (parameters.size !== 1) return undefined
  if (parameters.get('bs') === true) {
    return lines.map((line) => `:${Buffer.from(line, 'latin1').toString('base64')}:`).join(', ')
  }
  const key = parameters.get('key')
  if (typeof key !== 'string') return undefined
  try {
    const member = parseDictionary(lines.join(', ')).get(key)
    if (member === undefined) return undefined
    return isInnerList(member) ? serializeInnerList(member) : serializeItem(member)
  } catch {
    return undefined
  }
}

/**
 * The text that was signed (RFC 9421 §2.5), as bytes; the component that cannot be had otherwise: it is not in the
 * request, or asks for something unknown (`req`, `tr`, `sf`, `@status`).
 */
export function signatureBase(message: SignedMessage, signature: MessageSignature): Buffer | string {
  let text = ''
  for (const component of signature.components) {
    const isDerived = component.name.startsWith('@')
    const value = isDerived ? derived(message, component) : field(message.headers, component)
    if (value === undefined) return component.id
    text += `${component.id}: ${value}\n`
  }
  // Header fields come as Latin-1 from the wire: the same bytes again.
  return Buffer.from(`${text}"@signature-params": ${signature.signatureParams}`, 'latin1')
}
