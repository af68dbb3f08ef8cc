import { once } from 'node:events'
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { z } from 'zod'
import { GatewayError } from '../../src/core/errors.ts'
import type { FilterDefinition, InboundResult } from '../../src/filters/filter.ts'
import { FILTERS } from '../../src/filters/list.ts'
import { useCleanups } from '../support/cleanup.ts'
import { guarded } from '../support/guarded.ts'

const cleanups = useCleanups()

/** Ways in which a filter can fail. */
const FAILURES: Readonly<Record<string, () => InboundResult>> = {
  throws: () => {
    throw new GatewayError('GW_INTERNAL_STATE', 'planted')
  },
  rejects: () => Promise.reject(new GatewayError('GW_INTERNAL_STATE', 'planted')),
  'throws no error at all': () => {
    throw undefined
  },
  'rejects late': async () => {
    await new Promise((resolve) => setImmediate(resolve))
    return Promise.reject('planted')
  },
}

/** The filter as it is declared, but its inbound fails. */
const failing = (definition: FilterDefinition, fail: () => InboundResult): FilterDefinition => ({
  ...definition,
  options: z.looseObject({}),
  create: () => ({ inbound: fail }),
})

const CASES = FILTERS.flatMap((definition) =>
  Object.entries(FAILURES).map(([how, fail]) => ({ name: definition.name, how, definition, fail })),
)

test.each(CASES)('$name that $how: nothing gets to the service', async ({ name, definition, fail }) => {
  const isOpen = definition.onError === 'open'
  const { send, count } = await guarded(cleanups, `{ type: ${name} }`, {
    definitions: [failing(definition, fail)],
  })
  const answer = await send({ method: 'POST', body: 'x' })
  expect(count()).toBe(isOpen ? 1 : 0)
  expect([answer.status, answer.code]).toEqual(isOpen ? [200, undefined] : [500, 'GW_FILTER_FAILED'])
  expect(JSON.stringify(answer)).not.toContain('planted')
})

test.each(CASES)(
  '$name that $how with onError: open: the request goes on',
  async ({ name, definition, fail }) => {
    const { send, count } = await guarded(cleanups, `{ type: ${name}, onError: open }`, {
      definitions: [failing(definition, fail)],
    })
    expect((await send()).status).toBe(200)
    expect(count()).toBe(1)
  },
)

test.each(CASES)('$name that $how refuses an upgrade, too', async ({ name, definition, fail }) => {
  if (definition.onError === 'open') return
  const { gateway, count } = await guarded(cleanups, `{ type: ${name} }`, {
    definitions: [failing(definition, fail)],
  })
  const socket = new WebSocket(gateway.url.replace('http', 'ws')).on('error', () => {})
  const [, answer] = await once(socket, 'unexpected-response')
  expect([answer.statusCode, count()]).toEqual([500, 0])
})

/** Those that decide whether a request may pass must never be open by their own declaration. */
const GUARDS = /^(?:ip-allow|ip-deny|size-limit|api-key|basic|hmac|mtls|acl|jwt|introspection|forward-auth)$/

test.each(FILTERS.filter(({ name }) => GUARDS.test(name)))(
  '$name is closed unless the operator opens it',
  (filter) => {
    expect(filter.onError ?? 'closed').toBe('closed')
  },
)
