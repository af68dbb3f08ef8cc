import type { X509Certificate } from 'node:crypto'

/** What a client certificate says of its owner. */
export interface CertificateFacts {
  /** Most specific part first, as `openssl x509 -nameopt RFC2253` prints it: `CN=a,O=b`. */
  readonly subject: string
  readonly commonName: string | undefined
  readonly issuer: string
  /** SHA-256 of the certificate, lower-case hex without colons. */
  readonly fingerprint: string
  readonly dns: readonly string[]
  readonly uris: readonly string[]
  /** Hex; of a certificate that a trusted peer told about: undefined. */
  readonly serial: string | undefined
  /** ms since the epoch; of one that a trusted peer told about: undefined. */
  readonly expiresAt: number | undefined
}

/** Splits at a separator outside quotes and not after a backslash. */
function split(text: string, separator: string): string[] {
  const parts: string[] = []
  let start = 0
  let isQuoted = false
  for (let i = 0; i < text.length; i++) {
    const char = text[i]
    if (char === '\\') i++
    else if (char === '"') isQuoted = !isQuoted
    else if (!isQuoted && text.startsWith(separator, i)) {
      parts.push(text.slice(start, i))
      i += separator.length - 1
      start = i + 1
    }
  }
  parts.push(text.slice(start))
  return parts
}

/** Node prints one line each, in the order of the certificate, special characters escaped. */
function distinguishedName(text: string): string {
  return text.split('\n').reverse().join(',')
}

/** The first CN of a name in RFC 2253 form, unescaped. */
export function commonNameOf(name: string): string | undefined {
  for (const part of split(name, ',').flatMap((each) => split(each, '+'))) {
    const match = /^\s*CN\s*=(.*)$/is.exec(part)
    if (match !== null) return unescapeDn((match[1] ?? '').trim())
  }
  return undefined
}

function unescapeDn(text: string): string {
  return text.replace(/\\([0-9A-Fa-f]{2})|\\(.)/g, (_, hex: string | undefined, char: string | undefined) =>
    hex === undefined ? (char ?? '') : String.fromCharCode(Number.parseInt(hex, 16)),
  )
}

/** Node's text of alternative names: `DNS:a, URI:b`; a name with special characters stands in JSON quotes. */
export function alternativeNames(text: string | undefined, kind: 'DNS' | 'URI'): string[] {
  const names: string[] = []
  for (const part of split(text ?? '', ', ')) {
    if (!part.startsWith(`${kind}:`)) continue
    const value = part.slice(kind.length + 1)
    if (!value.startsWith('"')) {
      names.push(value)
      continue
    }
    try {
      names.push(JSON.parse(value) as string)
    } catch {
      // Neither form: nobody can be let in by it.
    }
  }
  return names
}

const plainHex = (text: string) => text.replaceAll(':', '').toLowerCase()

/** Reads a certificate that was verified already. */
export function certificateFacts(certificate: X509Certificate): CertificateFacts {
  const subject = distinguishedName(certificate.subject ?? '')
  return {
    subject,
    commonName: commonNameOf(subject),
    issuer: distinguishedName(certificate.issuer ?? ''),
    fingerprint: plainHex(certificate.fingerprint256),
    dns: alternativeNames(certificate.subjectAltName, 'DNS').map((name) => name.toLowerCase()),
    uris: alternativeNames(certificate.subjectAltName, 'URI'),
    serial: plainHex(certificate.serialNumber),
    expiresAt: Date.parse(certificate.validTo),
  }
}

function unquote(value: string): string {
  const isQuoted = value.length > 1 && value.startsWith('"') && value.endsWith('"')
  return isQuoted ? value.slice(1, -1).replace(/\\(.)/g, '$1') : value
}

/**
 * The last element of `X-Forwarded-Client-Cert` as Envoy writes it: what the nearest proxy saw. Undefined when it
 * names no certificate (no Hash).
 */
export function parseForwardedCertificate(field: string): CertificateFacts | undefined {
  const pairs = split(split(field, ',').at(-1) ?? '', ';').map((pair): [string, string] => {
    const equals = pair.indexOf('=')
    return [pair.slice(0, equals).trim().toLowerCase(), unquote(pair.slice(equals + 1).trim())]
  })
  const all = (name: string) =>
    pairs.filter(([key, value]) => key === name && value !== '').map(([, value]) => value)
  const [hash, ...more] = all('hash')
  if (hash === undefined || more.length > 0 || !/^[0-9a-f]{64}$/i.test(hash)) return undefined
  const [subject = ''] = all('subject')
  const [issuer = ''] = all('issuer')
  return {
    subject,
    commonName: commonNameOf(subject),
    issuer,
    fingerprint: hash.toLowerCase(),
    dns: all('dns').map((name) => name.toLowerCase()),
    uris: all('uri'),
    serial: undefined,
    expiresAt: undefined,
  }
}

/** Which certificates may come in: any of the lists; all empty = every verified one. `issuers` is asked on top. */
export interface CertificateRules {
  readonly subjects: readonly string[]
  readonly commonNames: readonly string[]
  /** `*.x` stands for one label. */
  readonly dns: readonly string[]
  /** A `*` at the end stands for any text: `spiffe://prod/*`. */
  readonly uris: readonly string[]
  readonly fingerprints: readonly string[]
  readonly issuers: readonly string[]
}

/** A name as it may be written in different ways: blanks around `,` and `=`, case of the attribute types. */
const comparable = (name: string) =>
  split(name, ',')
    .map((part) =>
      part.trim().replace(/^([A-Za-z0-9.]+)\s*=\s*/, (_, type: string) => `${type.toUpperCase()}=`),
    )
    .join(',')

const fitsDns = (pattern: string, name: string) =>
  pattern.startsWith('*.')
    ? name.slice(name.indexOf('.')) === pattern.slice(1) && name.indexOf('.') > 0 && !name.startsWith('*')
    : name === pattern

const fitsUri = (pattern: string, uri: string) =>
  pattern.endsWith('*') ? uri.startsWith(pattern.slice(0, -1)) : uri === pattern

/** A test for certificates. */
export function createCertificateTest(rules: CertificateRules): (facts: CertificateFacts) => boolean {
  const subjects = new Set(rules.subjects.map(comparable))
  const issuers = new Set(rules.issuers.map(comparable))
  const commonNames = new Set(rules.commonNames)
  const fingerprints = new Set(rules.fingerprints.map(plainHex))
  const dns = rules.dns.map((name) => name.toLowerCase())
  const isOpen = subjects.size + commonNames.size + fingerprints.size + dns.length + rules.uris.length === 0
  return (facts) => {
    if (issuers.size > 0 && !issuers.has(comparable(facts.issuer))) return false
    return (
      isOpen ||
      subjects.has(comparable(facts.subject)) ||
      (facts.commonName !== undefined && commonNames.has(facts.commonName)) ||
      fingerprints.has(facts.fingerprint) ||
      facts.dns.some((name) => dns.some((pattern) => fitsDns(pattern, name))) ||
      facts.uris.some((uri) => rules.uris.some((pattern) => fitsUri(pattern, uri)))
    )
  }
}
