import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext, type SecureContext } from 'node:tls'
import { errorText, GatewayError } from '../core/errors.ts'

export interface CertificateFiles {
  readonly cert: string
  readonly key: string
}

/** Whose certificates clients may have. */
export interface ClientAuthFiles {
  readonly ca: string
  readonly crl?: string | undefined
  /** `require`: no handshake without one. */
  readonly mode: 'request' | 'require'
}

/** What certificates of clients are checked against. PEM. */
interface Trust {
  readonly ca: string
  readonly crl: string | undefined
}

/** One certificate in use. */
export interface CertificateInfo {
  readonly file: string
  readonly names: readonly string[]
  /** ms since the epoch. */
  readonly expiresAt: number
}

interface Loaded {
  readonly files: CertificateFiles
  readonly text: string
  readonly cert: string
  readonly key: string
  readonly context: SecureContext
  readonly info: CertificateInfo
}

function loadTrust({ ca, crl }: ClientAuthFiles): Trust {
  const trust = {
    ca: readFileSync(ca, 'utf8'),
    crl: crl === undefined ? undefined : readFileSync(crl, 'utf8'),
  }
  // Node would skip what is no certificate without a word, and then trust nobody.
  new X509Certificate(trust.ca)
  createSecureContext(contextOf(trust))
  return trust
}

/** Without an authority of ours Node would take every certificate that a public one signed. */
function contextOf(trust: Trust | undefined): { ca?: string; crl?: string } {
  if (trust === undefined) return {}
  return { ca: trust.ca, ...(trust.crl === undefined ? {} : { crl: trust.crl }) }
}

function load(files: CertificateFiles, trust: Trust | undefined): Loaded {
  const cert = readFileSync(files.cert, 'utf8')
  const key = readFileSync(files.key, 'utf8')
  const parsed = new X509Certificate(cert)
  const names = (parsed.subjectAltName ?? '')
    .split(', ')
    .filter((name) => name.startsWith('DNS:'))
    .map((name) => name.slice(4).toLowerCase())
  return {
    files,
    text: cert + key + (trust?.ca ?? '') + (trust?.crl ?? ''),
    cert,
    key,
    context: createSecureContext({ cert, key, ...contextOf(trust) }),
    info: { file: files.cert, names, expiresAt: Date.parse(parsed.validTo) },
  }
}

function matches(name: string, host: string): boolean {
  if (name === host) return true
  return name.startsWith('*.') && host.slice(host.indexOf('.') + 1) === name.slice(2) && host.includes('.')
}

/**
 * The certificates of a listener, chosen by server name (SNI), read again by `reload`. A pair that is broken or
 * does not fit together is reported and the old one serves on.
 */
export class Certificates {
  #loaded: Loaded[]
  #trust: Trust | undefined
  readonly #clientAuth: ClientAuthFiles | undefined
  readonly #listeners = new Set<() => void>()

  /** Throws GW_CONFIG_INVALID naming the file. */
  constructor(pairs: readonly CertificateFiles[], clientAuth?: ClientAuthFiles) {
    this.#clientAuth = clientAuth
    if (clientAuth !== undefined) {
      try {
        this.#trust = loadTrust(clientAuth)
      } catch (cause) {
        const { ca, crl } = clientAuth
        const files = crl === undefined ? ca : `${ca} with crl ${crl}`
        throw new GatewayError('GW_CONFIG_INVALID', `listen.https.clientAuth: ${files}`, { cause })
      }
    }
    this.#loaded = pairs.map((files) => {
      try {
        return load(files, this.#trust)
      } catch (cause) {
        throw new GatewayError('GW_CONFIG_INVALID', `certificate ${files.cert} with key ${files.key}`, {
          cause,
        })
      }
    })
  }

  /** Reads the files again. Returns what is wrong, one line a pair; connections are not touched. */
  reload(): string[] {
    const problems: string[] = []
    let hasChanged = false
    if (this.#clientAuth !== undefined) {
      try {
        this.#trust = loadTrust(this.#clientAuth)
      } catch (thrown) {
        problems.push(`listen.https.clientAuth: ${errorText(thrown)}; the old authorities serve on`)
      }
    }
    this.#loaded = this.#loaded.map((old) => {
      try {
        const fresh = load(old.files, this.#trust)
        if (fresh.text === old.text) return old
        hasChanged = true
        return fresh
      } catch (thrown) {
        problems.push(`certificate ${old.files.cert}: ${errorText(thrown)}; the old one serves on`)
        return old
      }
    })
    if (hasChanged) for (const listener of this.#listeners) listener()
    return problems
  }

  /** Options for a TLS server: the first pair is the default. */
  tlsOptions() {
    const first = this.#loaded[0] as Loaded
    const auth = this.#clientAuth
    return {
      cert: first.cert,
      key: first.key,
      ...contextOf(this.#trust),
      ...(auth === undefined ? {} : { requestCert: true, rejectUnauthorized: auth.mode === 'require' }),
      SNICallback: (name: string, done: (error: Error | null, context?: SecureContext) => void) => {
        const host = name.toLowerCase()
        const found = this.#loaded.find(({ info }) => info.names.some((each) => matches(each, host)))
        done(null, (found ?? (this.#loaded[0] as Loaded)).context)
      },
    }
  }

  info(): readonly CertificateInfo[] {
    return this.#loaded.map(({ info }) => info)
  }

  /** Called after a reload that changed something. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener)
  }
}
