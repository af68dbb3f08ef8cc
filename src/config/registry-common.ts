import { z } from 'zod'
import { network } from './values.ts'

/** What registries of several types have in common. */

/** PEM files for calls over TLS. */
export const registryTls = z
  .strictObject({
    ca: z.string().describe('PEM file: the authority to trust instead of the system’s.'),
    cert: z.string().describe('PEM file: the gateway’s own certificate.'),
    key: z.string().describe('PEM file: its key.'),
    verify: z.boolean().describe('Check the certificate. Default true.'),
  })
  .partial()

/** Names of services as the gateway has them, in the place of those that the registry has. */
export const serviceName = z
  .strictObject({
    strip: z
      .string()
      .min(1)
      .optional()
      .describe('Taken off the beginning of a name; names without it are left out. Default: nothing.'),
    prefix: z.string().min(1).optional().describe('Then put before it. Default: nothing.'),
  })
  .optional()
  .describe(
    'A namespace, so that the cart of one team is not the cart of another. include and exclude mean the names of the registry. Default: names are taken as they are.',
  )

/** Which services and addresses are taken. */
export const registryRules = {
  include: z
    .array(z.string())
    .default([])
    .describe('Service names to take, * stands for any text. Default: all.'),
  serviceName,
  exclude: z.array(z.string()).default([]).describe('Service names to leave out. Default: none.'),
  forbidAddresses: z
    .array(network())
    .default([])
    .describe('Instances there are left out, as for consul. Default: none.'),
}

/** A URL that is called: http or https, without a user, whose password would be shown. */
export const callUrl = () =>
  z.string().superRefine((value, ctx) => {
    const url = URL.parse(value)
    const isUrl = url !== null && /^https?:$/.test(url.protocol) && url.hostname !== ''
    if (isUrl && url.username === '' && url.password === '' && url.hash === '') return
    ctx.addIssue({
      code: 'custom',
      // The value itself may hold a password.
      message: isUrl ? 'a user or a # does not belong here' : 'this is no URL with http or https',
      params: { fix: 'write http://10.0.0.1:8080/instances or https://…; secrets have keys of their own' },
    })
  })
