import { createHash, createHmac } from 'node:crypto'
import { Headers } from '../../src/core/headers.ts'
import { type MessageSignature, parseSignatures, signatureBase } from '../../src/identity/signature-base.ts'

export interface ToSign {
  readonly method?: string
  readonly path?: string
  readonly authority?: string
  readonly scheme?: 'http' | 'https'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export interface SignOptions {
  /** Components, without quotes. */
  readonly cover?: readonly string[]
  /** After the components: `;created=…;keyid="…"`. */
  readonly params?: string
  readonly label?: string
  readonly sign?: (base: Buffer) => Buffer
}

export const SECRET = 'a shared secret of enough bytes'
export const nowSeconds = () => Math.floor(Date.now() / 1000)
export const digestOf = (body: string) => `sha-256=:${createHash('sha256').update(body).digest('base64')}:`

/** A request with its signature, as a client of RFC 9421 sends it. */
export function signed(request: ToSign = {}, options: SignOptions = {}) {
  const { method = 'GET', path = '/', authority = 'a.example', scheme = 'http', body } = request
  const { label = 'sig', sign = (base) => createHmac('sha256', SECRET).update(base).digest() } = options
  const withBody = body === undefined ? [] : ['content-digest']
  const { cover = ['@method', '@target-uri', ...withBody] } = options
  const { params = `;created=${nowSeconds()};keyid="k1"` } = options
  const input = `${label}=(${cover.map((name) => `"${name}"`).join(' ')})${params}`
  const fields: Record<string, string> = {
    ...(body === undefined ? {} : { 'content-digest': digestOf(body) }),
    ...request.headers,
    'signature-input': input,
  }
  const headers = new Headers(Object.entries({ ...fields, signature: `${label}=:AA==:` }).flat())
  const [parsed] = parseSignatures(headers) as MessageSignature[]
  const base = signatureBase({ method, scheme, authority, target: path, headers }, parsed as MessageSignature)
  const bytes = typeof base === 'string' ? Buffer.alloc(32) : sign(base)
  return {
    method,
    path,
    headers: { ...fields, signature: `${label}=:${bytes.toString('base64')}:` } as Record<string, string>,
    ...(body === undefined ? {} : { body }),
  }
}
