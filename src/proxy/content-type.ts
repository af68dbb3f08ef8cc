import { GatewayError } from '../core/errors.ts'
import type { Headers } from '../core/headers.ts'

/** `type/subtype` of tokens (RFC 9110 §8.3.1, §5.6.2). */
const MEDIA_TYPE = /^([!#$%&'*+.^_`|~0-9a-z-]+)\/([!#$%&'*+.^_`|~0-9a-z-]+)$/

function refuse(text: string): never {
  throw new GatewayError('GW_REQUEST_MALFORMED', text)
}

/** Something follows the head, as far as that can be seen there. */
function hasBody(headers: Headers): boolean {
  const length = headers.get('content-length')
  return length === undefined ? headers.has('transfer-encoding') : length !== '0'
}

/** `application/json`, `text/*`, `application/*+json`. */
function isListed(type: string, subtype: string, allowed: readonly string[]): boolean {
  return allowed.some((pattern) => {
    const [wantedType = '', wanted = ''] = pattern.split('/')
    if (wantedType !== type) return false
    return wanted.startsWith('*') ? subtype.endsWith(wanted.slice(1)) : wanted === subtype
  })
}

/**
 * A body whose type two parsers can read in two ways is how filters are walked around: `Content-Type` twice, or a
 * multipart body with two boundaries. Throws GW_REQUEST_MALFORMED for them, and GW_REQUEST_MEDIA_TYPE for a body whose
 * type is not one of `allowed`; an empty list allows all. To be called before framing fields are taken away.
 */
export function checkContentType(headers: Headers, allowed: readonly string[]): void {
  const value = headers.get('content-type')
  if (value !== undefined) {
    if (headers.getAll('content-type').length > 1) refuse('Content-Type is repeated')
    if (value.charCodeAt(0) === 109 || value.charCodeAt(0) === 77) {
      const isMultipart = /^multipart\//i.test(value)
      if (isMultipart && (value.match(/;\s*boundary\s*\*?\d*\*?\s*=/gi)?.length ?? 0) > 1) {
        refuse('the multipart body has two boundaries')
      }
    }
  }
  if (allowed.length === 0) return
  if (value === undefined && !hasBody(headers)) return
  const parts = MEDIA_TYPE.exec((value ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '')
  if (parts !== null && isListed(parts[1] as string, parts[2] as string, allowed)) return
  throw new GatewayError(
    'GW_REQUEST_MEDIA_TYPE',
    'the media type of the body is not one of limits.contentTypes',
  )
}
