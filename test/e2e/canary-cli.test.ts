import { spawnSync } from 'node:child_process'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { CanaryView } from '../../src/core/views.ts'
import { useCleanups } from '../support/cleanup.ts'
import { startGateway } from '../support/gateway.ts'
import { waitFor } from '../support/wait.ts'

const SLUICE = join(import.meta.dirname, '../../bin/sluice')
const { later } = useCleanups()

/** A gateway alone with a release that a person leads. */
async function aRelease() {
  const gateway = await startGateway({
    yaml: `registries: { local: { type: embedded } }
canary: { interval: 100ms }
routes: [{ name: shop, match: { pathPrefix: / }, service: shop }]
canaries:
  - name: v2
    service: shop
    canary: { version: "2.*" }
    ramp: { steps: [{ percent: 5, hold: true }, { percent: 25, hold: true }, { percent: 100, hold: true }] }
  - { name: plain, service: shop, canary: { version: "3.*" }, percent: 1 }`,
  })
  later(() => gateway.stop())
  await waitFor(async () => (await gateway.admin<CanaryView>('/api/canaries/v2')).state === 'holding')
  const canary = (...args: string[]) => {
    const env = { ...process.env, SLUICE_ADMIN_URL: gateway.adminUrl }
    const { status, stdout, stderr } = spawnSync(SLUICE, ['canary', ...args], { encoding: 'utf8', env })
    return { status, out: stdout.trim(), err: stderr.trim() }
  }
  return { gateway, canary }
}

test('a person leads a release on the command line', { timeout: 60_000 }, async () => {
  const { gateway, canary } = await aRelease()
  const view = () => gateway.admin<CanaryView>('/api/canaries/v2')
  expect(canary()).toMatchObject({
    status: 0,
    out: 'v2  shop  5%  holding, step 1 of 3\nplain  shop  1%  file',
  })
  expect(canary('promote', 'v2', '--reason', 'looks good')).toMatchObject({
    status: 0,
    out: 'v2  25%  holding',
  })
  expect((await view()).release?.history.at(-1)).toMatchObject({
    percent: 25,
    by: `${userInfo().username} (127.0.0.1)`,
    reason: expect.stringContaining('looks good'),
  })
  expect(canary('pause', 'v2').status).toBe(0)
  expect(canary('pause', 'v2')).toMatchObject({ status: 1, err: expect.stringContaining('is paused') })
  expect(canary('resume', 'v2').out).toBe('v2  25%  holding')

  expect(canary('set', 'v2', '50', '--force').out).toBe('v2  50%  paused')
  expect(canary('set', 'v2', '2.5').out).toBe('v2  2.5%  paused')
  const beyond = canary('set', 'v2', '99')
  expect(beyond).toMatchObject({ status: 1, err: expect.stringContaining('beyond the next step') })
  expect(canary('set', 'v2', 'half').status).toBe(2)
  expect(canary('set', 'v2', '500').status).toBe(2)

  expect(JSON.parse(canary('abort', 'v2', '--json').out)).toMatchObject({ percent: 0, status: 'aborted' })
  const shown = canary('show', 'v2')
  expect(shown.out).toMatch(/^v2 {2}shop {2}0% {2}aborted\n/)
  expect(shown.out.match(/^history /gm)).toHaveLength(7)
  expect(await view()).toMatchObject({ percent: 0, state: 'aborted', releasedPins: true })
})

test('what there is not is 1, what cannot be reached or was not meant so is 2', {
  timeout: 60_000,
}, async () => {
  const { canary } = await aRelease()
  expect(canary('abort', 'plain')).toMatchObject({ status: 1, err: expect.stringContaining('ramp') })
  expect(canary('show', 'v9').status).toBe(1)
  expect(JSON.parse(canary('list', '--json').out)).toMatchObject({ decides: true })
  expect(canary('--admin', 'http://127.0.0.1:9').status).toBe(2)
  expect(canary('promote').status).toBe(2)
})
