import { describe, expect, test } from 'vitest'
import { useCleanups } from './cleanup.ts'
import { PLACES, wafGateway } from './waf-gateway.ts'

/** Sends each attack in every place of a request: all are refused, as hits of this category among others. */
export function describeWafAttacks(title: string, category: string, attacks: readonly string[]): void {
  const cleanups = useCleanups()

  describe(title, () => {
    test.each(PLACES)('%s: refused, and nothing reaches the service', async (_, put) => {
      const { send, served, metric } = await wafGateway(cleanups)
      for (const attack of attacks) {
        const answer = await send(...put(attack))
        expect([attack, answer.status]).toEqual([attack, 403])
        const problem = (await answer.json()) as object
        // Nothing of rules and scores.
        expect(Object.keys(problem)).toEqual(['type', 'title', 'status', 'code', 'requestId'])
        expect(problem).toMatchObject({ code: 'GW_WAF_BLOCKED', title: 'The request was refused' })
      }
      expect(served).toEqual([])
      expect(metric('sluice_waf_decisions_total', 'waf', 'block')).toBe(attacks.length)
      expect(metric('sluice_waf_hits_total', 'waf', category)).toBeGreaterThan(0)
    })
  })
}
