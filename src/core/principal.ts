/** Who sent a request, as an identity filter found out. Limits, access lists, canary rules and the log read it. */
export interface Principal {
  /** `sub` of a token, owner of a key, user name, subject of a certificate. */
  readonly id: string
  readonly kind: 'jwt' | 'api-key' | 'basic' | 'hmac' | 'mtls' | 'introspection' | 'forward-auth'
  /** Name of the filter that found out. */
  readonly filter: string
  /** Issuer of a token, name of a key file …: equal ids of two realms are two principals. */
  readonly realm?: string
  /** What the token, the key's metadata or the certificate says; free of secrets. */
  readonly claims: Readonly<Record<string, unknown>>
  readonly roles: readonly string[]
  readonly groups: readonly string[]
  readonly scopes: readonly string[]
}

/** One text for one principal: the key of what is counted or remembered for it. */
export function principalKey({ kind, realm, id }: Principal): string {
  return `${kind}:${realm === undefined ? '' : encodeURIComponent(realm)}:${encodeURIComponent(id)}`
}
