import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import {
  type CertificateFacts,
  certificateFacts,
  createCertificateTest,
  parseForwardedCertificate,
} from '../identity/certificate.ts'
import { defineFilter, type FilterContext } from './filter.ts'
import { allowOption, counted, identify, principalHeadersOption } from './identity-options.ts'

const texts = (what: string) => z.array(z.string().min(1)).default([]).describe(what)

const IDS = ['subject', 'common-name', 'san-uri', 'san-dns', 'fingerprint'] as const

const options = z.strictObject({
  subjects: texts(
    'Distinguished names that may come, most specific part first: CN=client,O=Example. Default: any.',
  ),
  commonNames: texts('CN of the subject. Default: any.'),
  dns: texts('DNS names of the certificate; *.example.com stands for one label. Default: any.'),
  uris: texts('URIs of the certificate; a * at the end for any rest: spiffe://example.com/*. Default: any.'),
  fingerprints: z
    .array(
      z
        .string()
        .regex(/^(?:[0-9a-f]{2}:?){31}[0-9a-f]{2}$/i, { error: 'write the SHA-256 as 64 hex digits' }),
    )
    .default([])
    .describe('SHA-256 of the certificate, hex. Default: any.'),
  issuers: texts('Distinguished names of issuers; asked on top of the lists above. Default: any.'),
  id: z.enum(IDS).default('subject').describe('What the id of the principal is made of. Default subject.'),
  realm: z
    .string()
    .min(1)
    .max(256)
    .optional()
    .describe('Realm of the principals. Default: the issuer’s name.'),
  allow: allowOption(),
  forwarded: z
    .boolean()
    .default(false)
    .describe(
      'From trustedProxies the certificate is the one in X-Forwarded-Client-Cert, and only that. Default false.',
    ),
  headers: principalHeadersOption(),
})

/** Certificates that were read; the same ones come with every request. */
const MAX_KNOWN = 1000

function idOf(facts: CertificateFacts, source: (typeof IDS)[number]): string | undefined {
  switch (source) {
    case 'subject':
      return facts.subject === '' ? undefined : facts.subject
    case 'common-name':
      return facts.commonName
    case 'san-uri':
      return facts.uris[0]
    case 'san-dns':
      return facts.dns[0]
    default:
      return facts.fingerprint
  }
}

/** Certificates of clients (`listen.https.clientAuth`). 403 GW_AUTH_CERTIFICATE, GW_AUTH_CERTIFICATE_REFUSED. */
export const mtls = defineFilter({
  name: 'mtls',
  summary: 'Certificates of clients, verified by the listener; others get 403.',
  options,
  create(settings, deps) {
    const { id: source, realm, allow, forwarded, headers } = settings
    const isAllowed = createCertificateTest(settings)
    const known = new LRUCache<string, CertificateFacts>({ max: MAX_KNOWN })

    const ofConnection = (ctx: FilterContext): CertificateFacts | undefined => {
      const certificate = ctx.clientCertificate()
      if (certificate === undefined) return undefined
      const fingerprint = certificate.fingerprint256
      const facts = known.get(fingerprint) ?? certificateFacts(certificate)
      known.set(fingerprint, facts)
      return facts
    }
    const factsOf = (ctx: FilterContext): CertificateFacts | undefined => {
      // The proxy's own certificate says nothing about who is behind it.
      if (!forwarded || !ctx.isTrustedPeer) return ofConnection(ctx)
      const field = ctx.headers.get('x-forwarded-client-cert')
      ctx.headers.delete('x-forwarded-client-cert')
      return field === undefined ? undefined : parseForwardedCertificate(field)
    }
    return {
      ownsHeaders: Object.keys(headers),
      inbound: counted(deps, (ctx) => {
        const facts = factsOf(ctx)
        if (facts === undefined)
          return allow === undefined ? { status: 403, code: 'GW_AUTH_CERTIFICATE' } : undefined
        const id = idOf(facts, source)
        // The handshake may be long ago.
        const isOver = facts.expiresAt !== undefined && deps.clock.now() >= facts.expiresAt
        if (id === undefined || isOver || !isAllowed(facts)) {
          const reason =
            id === undefined ? `it has no ${source}` : isOver ? 'it has expired' : 'it is not allowed'
          return { status: 403, code: 'GW_AUTH_CERTIFICATE_REFUSED', reason }
        }
        const { expiresAt: _expiresAt, ...claims } = facts
        const nobody: readonly string[] = []
        return identify(
          ctx,
          {
            ...{ id, kind: 'mtls', filter: deps.name, realm: realm ?? facts.issuer, claims },
            ...{ roles: nobody, groups: nobody, scopes: nobody },
          },
          headers,
        )
      }),
    }
  },
})
