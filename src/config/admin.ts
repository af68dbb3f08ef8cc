import { z } from 'zod'
import { tools } from './tools.ts'
import { duration, listenAddress } from './values.ts'

/** The key `admin`: who may see and change what the gateway does, and what is kept of it. */

const token = () => z.string().min(16)

const LOOPBACK = /^(?:localhost|\[::1\]|127\..*)$/

interface Access {
  readonly address: string
  readonly token?: string | undefined
  readonly readToken?: string | undefined
  readonly tls?: { readonly clientCa?: string | undefined } | undefined
}

function checkAccess(value: Access, ctx: z.RefinementCtx): void {
  const add = (message: string, key: string, fix: string) =>
    ctx.addIssue({ code: 'custom', message, path: [key], params: { fix } })
  const isLoopback = LOOPBACK.test(value.address.replace(/:\d+$/, ''))
  if (!isLoopback && value.token === undefined && value.tls?.clientCa === undefined) {
    add(
      `the admin side at ${value.address} would be open to the network`,
      'address',
      'set admin.token or admin.tls.clientCa, or listen on 127.0.0.1',
    )
  }
  if (value.readToken === undefined) return
  if (value.token === undefined) {
    add('without admin.token everybody may write anyway', 'readToken', 'set admin.token, too')
  } else if (value.readToken === value.token) {
    add('both tokens are the same', 'readToken', 'take another one: this one may only read')
  }
}

export const admin = z
  .strictObject({
    address: listenAddress()
      .default('127.0.0.1:8081')
      .describe('API, metrics, page. Anywhere but loopback needs token or tls.clientCa.'),
    token: token()
      .optional()
      .describe('Bearer token of the admin API, 16 characters at least; take it from ${ENV:…} or ${FILE:…}.'),
    readToken: token()
      .optional()
      .describe(
        'A second token that may look at everything and change nothing (403). Needs token. Default: none.',
      ),
    sessionTtl: duration()
      .default(28_800_000)
      .describe('How long a browser that signed in with a token stays signed in. Default 8h.'),
    debugKey: z
      .string()
      .min(32)
      .optional()
      .describe(
        'Secret of 32 characters at least: requests with a token of it (sluice debug-token) are explained. Default: none are.',
      ),
    audit: z
      .strictObject({
        file: z
          .string()
          .optional()
          .describe('One line of JSON for each change, appended; may be renamed away. Default: none.'),
      })
      .prefault({})
      .describe(
        'Changes through the admin API: the last 500 are in GET /api/audit, each is a line of the log.',
      ),
    tools,
    tls: z
      .strictObject({
        cert: z.string().describe('PEM file: certificate and chain.'),
        key: z.string().describe('PEM file: its key.'),
        clientCa: z
          .string()
          .optional()
          .describe('PEM file: only clients with a certificate of this authority come in.'),
      })
      .optional()
      .describe('Serve the admin side over TLS.'),
  })
  .superRefine(checkAccess)
  .prefault({})
  .describe('The admin side.')
