import { z } from 'zod'
import { duration, headerName } from './values.ts'

/** The key `admin.tools`: pages of other programs behind the sign-in of the admin side. */

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/

/** `/ui/`: from the root, a slash at both ends. */
const root = () =>
  z.string().regex(/^\/(?:[\w.~-]+\/)+$/, { error: 'write a path with a slash at both ends: /ui/' })

const tool = z.strictObject({
  url: z
    .url({ protocol: /^https?$/, error: 'write http://host:port/, with the path that the tool is at' })
    .describe('Where it is: http://127.0.0.1:8500/. A path is what /tools/NAME/ stands for.'),
  title: z.string().min(1).max(64).optional().describe('For people. Default: its name.'),
  timeout: duration()
    .default(360_000)
    .describe('Until it answers (504); pages of Consul wait up to 5m for news. Default 6m.'),
  ca: z
    .string()
    .optional()
    .describe(
      'PEM file: authority of an https url. Its certificate is always checked. Default: the system’s.',
    ),
  headers: z
    .record(headerName(), z.string().min(1))
    .default({})
    .describe('Sent with each request, such as X-Consul-Token: ${ENV:…}. Default: none.'),
  cookies: z
    .array(z.string().regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, { error: 'write the name of a cookie' }))
    .default([])
    .describe('Names of its own cookies, which go both ways (Grafana: grafana_session). Default: none do.'),
  paths: z
    .array(root())
    .optional()
    .describe(
      'Paths from the root that its pages use; they are led through /tools/NAME. Default: for the name consul [/ui/, /v1/], else none: Prometheus and Grafana are told their place.',
    ),
  questions: z
    .array(z.string().regex(/^\//, { error: 'write a path from its root' }))
    .default([])
    .describe(
      'Paths whose POST changes nothing, so that a read token may (Grafana: /api/ds/query). Default: none.',
    ),
})

export const tools = z
  .record(
    z
      .string()
      .regex(NAME, { error: 'lower-case letters, digits and - between them: it is part of an address' }),
    tool,
  )
  .default({})
  .describe(
    'Pages of other programs at /tools/NAME/: Consul, Prometheus, Grafana. See docs/tools.md. Default: none.',
  )

/** Durations in ms; `ca` absolute. */
export type ToolConfig = z.output<typeof tool>
