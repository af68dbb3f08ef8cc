import { z } from 'zod'

/** Certificates of clients at the TLS listener. */
export const clientAuth = z.strictObject({
  ca: z.string().describe('PEM file: authorities whose certificates are taken; read again when it changes.'),
  mode: z
    .enum(['request', 'require'])
    .default('require')
    .describe(
      'require = no handshake without a valid certificate; request = go on without, filters decide. Default require.',
    ),
  crl: z
    .string()
    .optional()
    .describe(
      'PEM file: lists of revoked certificates, one of each authority of the chain; read again when it changes.',
    ),
})
