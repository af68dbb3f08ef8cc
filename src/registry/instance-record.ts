import { z } from 'zod'
import type { Instance, Scheme } from '../core/types.ts'

const URL_PATTERN = /^(https?|h2c):\/\/(\[[0-9a-fA-F:.]+\]|[\w.-]+):(\d{1,5})$/
const MAX_OUTPUT = 512

/** 1 to 65535. */
export const isPort = (port: number): boolean => Number.isInteger(port) && port > 0 && port <= 65_535

const shape = {
  url: z
    .string()
    .regex(URL_PATTERN, { error: 'write scheme://address:port, e.g. http://10.0.0.7:8080' })
    .refine((url) => isPort(Number(url.slice(url.lastIndexOf(':') + 1))), {
      error: 'a port is a number from 1 to 65535',
    }),
  id: z.string().min(1).optional(),
  version: z.string().optional(),
  zone: z.string().optional(),
  weight: z.number().positive().default(1),
  state: z.enum(['passing', 'warning', 'critical', 'maintenance', 'draining']).optional(),
  /** Words about the state. */
  output: z.string().optional(),
  tags: z.array(z.string()).default([]),
  meta: z.record(z.string(), z.string()).default({}),
}

/** An instance as an operator writes it into a file. */
export const instanceRecord = z.strictObject(shape)

/** The same as written by a program: newer ones may say more. */
export const looseInstanceRecord = z.object(shape)

/** The instance of a record; `place` begins its key. The id is the record's, else `address:port`. */
export function recordToInstance(
  place: string,
  service: string,
  record: z.output<typeof instanceRecord>,
): Instance {
  const { url, id, version, zone, weight, state, output, tags, meta } = record
  const [, scheme, host = '', port] = URL_PATTERN.exec(url) ?? []
  const own = id ?? `${host}:${port}`
  return {
    key: `${place}/${own}`,
    id: own,
    service,
    address: host.replace(/^\[|\]$/g, ''),
    port: Number(port),
    scheme: scheme as Scheme,
    state: state ?? 'unknown',
    weight,
    tags,
    meta,
    ...(version === undefined ? {} : { version }),
    ...(zone === undefined ? {} : { zone }),
    // Somebody said so, which a guard believes; without a check it would look like a beat that did not arrive.
    ...(state === 'critical' || output !== undefined
      ? { checks: [{ id: 'record', state: state ?? 'unknown', output: (output ?? '').slice(0, MAX_OUTPUT) }] }
      : {}),
  }
}
