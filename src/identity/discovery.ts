import { GatewayError } from '../core/errors.ts'
import type { HttpClient } from './http.ts'
import { parseStrictObject } from './strict-json.ts'

/** Of a discovery document. Bytes. */
const MAX_DOCUMENT_BYTES = 131_072

/**
 * Asks an issuer where its keys are (OpenID Connect Discovery 1.0 §4). Throws GW_IDENTITY_ANSWER when the document is
 * of another issuer (§4.3: one issuer could speak for another) or names no address of the same scheme.
 */
export async function discoverJwksUrl(http: HttpClient, issuer: string, timeoutMs: number): Promise<URL> {
  const url = new URL(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
  const document = parseStrictObject(await http.ask({ url, timeoutMs, maxBytes: MAX_DOCUMENT_BYTES }))
  const fail = (text: string): never => {
    throw new GatewayError('GW_IDENTITY_ANSWER', `${url.origin}${url.pathname}: ${text}`)
  }
  if (document === undefined) return fail('this is no discovery document')
  if (document['issuer'] !== issuer) return fail('the document is of another issuer')
  const jwks = URL.parse(String(document['jwks_uri']))
  if (jwks === null) return fail('jwks_uri is no address')
  if (jwks.protocol !== 'https:' && jwks.protocol !== url.protocol) return fail('jwks_uri is not https')
  return jwks
}
