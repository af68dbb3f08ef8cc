/**
 * Evidence that grows with the data and may be looked at after every block of it: e-processes (Grünwald, de Heide,
 * Koolen: Safe Testing; Turner, Ly, Grünwald: Generic E-Variables for Exact Sequential k-Sample Tests). An ordinary
 * test repeated every 30 seconds of a day would sooner or later call any canary bad; the chance that one of these
 * ever exceeds 1/α under its hypothesis is at most α, however often it is looked at.
 */

/** Of so many, so many bad. */
export interface Proportion {
  readonly total: number
  readonly bad: number
}

/** Natural logarithm of the evidence for each supposed size of the effect, and what it was learnt from. */
export interface Evidence {
  readonly logs: readonly number[]
  readonly canary: Proportion
  readonly stable: Proportion
}

/** By how much more requests may fail than with stable, absolute. */
const INCREASES = [0.002, 0.005, 0.01, 0.03, 0.1, 0.3] as const
/** Which shares above the allowed one are looked for, as a part of the way from there to 1. */
const EXCESSES = [0.01, 0.03, 0.1, 0.3, 0.7] as const
/** What is supposed of a stable version before it was seen: 1 % bad, as if seen in so many requests. */
const PRIOR = { total: 100, bad: 1 } as const
const EDGE = 1e-6

export const NO_PROPORTION: Proportion = Object.freeze({ total: 0, bad: 0 })

export function addProportions(one: Proportion, other: Proportion): Proportion {
  return { total: one.total + other.total, bad: one.bad + other.bad }
}

/** Of nothing: NaN. */
export function ratioOf({ total, bad }: Proportion): number {
  return bad / total
}

/** For `againstStable`: nothing seen. `history`: what is known of stable from before. */
export function noComparison(history: Proportion = NO_PROPORTION): Evidence {
  return { logs: INCREASES.map(() => 0), canary: NO_PROPORTION, stable: history }
}

/** For `againstLimit`. */
export function noExcess(): Evidence {
  return { logs: EXCESSES.map(() => 0), canary: NO_PROPORTION, stable: NO_PROPORTION }
}

/** Evidence that the canary's share of bad ones is larger than that of stable, after one more block of both. */
export function againstStable(before: Evidence, canary: Proportion, stable: Proportion): Evidence {
  const seen = addProportions(before.stable, PRIOR)
  const expected = ratioOf(seen)
  const all = canary.total + stable.total
  const logs = before.logs.map((log, i) => {
    if (all === 0) return log
    const raised = Math.min(1 - EDGE, expected + (INCREASES[i] as number))
    // Under the hypothesis both draw from one urn: the mixture that is hardest to tell from the supposition.
    const common = (canary.total * raised + stable.total * expected) / all
    return (
      log +
      logLikelihood(canary, raised) +
      logLikelihood(stable, expected) -
      logLikelihood(canary, common) -
      logLikelihood(stable, common)
    )
  })
  return {
    logs,
    canary: addProportions(before.canary, canary),
    stable: addProportions(before.stable, stable),
  }
}

/** Evidence that the canary's share of bad ones is larger than `limit` (0..1), after one more block. */
export function againstLimit(before: Evidence, canary: Proportion, limit: number): Evidence {
  const allowed = Math.min(1 - 2 * EDGE, Math.max(EDGE, limit))
  const logs = before.logs.map((log, i) => {
    const supposed = allowed + (1 - allowed) * (EXCESSES[i] as number)
    return log + logLikelihood(canary, supposed) - logLikelihood(canary, allowed)
  })
  return { logs, canary: addProportions(before.canary, canary), stable: before.stable }
}

function logLikelihood({ total, bad }: Proportion, share: number): number {
  const bounded = Math.min(1 - EDGE, Math.max(EDGE, share))
  return bad * Math.log(bounded) + (total - bad) * Math.log(1 - bounded)
}

/** Natural logarithm of the evidence over all supposed sizes: their mean is evidence, too. */
export function strength({ logs }: Evidence): number {
  const most = Math.max(...logs)
  return most + Math.log(logs.reduce((sum, log) => sum + Math.exp(log - most), 0) / logs.length)
}
