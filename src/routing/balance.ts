import type { Random } from '../core/duration.ts'
import type { BalancePolicy } from '../core/route.ts'

/** What balancing looks at in one instance. */
export interface Balanced {
  /** Unique within the service. */
  readonly key: string
  /** `hashText(key)`; computed once. */
  readonly hash: number
  /** Relative share, > 0. */
  readonly weight: number
  /** Requests and tunnels under way. */
  readonly inFlight: number
  /** Monotonic ms at which its slow start began; `-Infinity` = none. */
  readonly slowStartAt: number
  /** Its queue is at the limit: taken only when all others are, too. */
  readonly isFull: boolean
}

/** Everything else a pick depends on. */
export interface BalanceRequest {
  readonly kind: BalancePolicy['kind']
  /** Monotonic ms. */
  readonly now: number
  readonly random: Random
  /** ms a new instance takes to its full share; 0 = at once. */
  readonly slowStartMs: number
  /** Keys that were tried already and are left out. */
  readonly tried: ReadonlySet<string>
  /** For `consistent-hash`: `hashText` of what the request is hashed on. */
  readonly hash: number
  /** For `round-robin`: the service's credits by key; the pick changes it. */
  readonly credits: Map<string, number>
}

/** A new instance never gets less than this share of its weight: else it would never see a request. */
const SLOW_START_FLOOR = 0.1

/**
 * FNV-1a over UTF-16 code units with murmur3's finalizer: an unsigned 32-bit number. Not for secrets.
 * The finalizer is needed because the last characters (`…-1`, `…-2`) hardly reach FNV's high bits.
 */
export function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return finalize(hash)
}

function finalize(value: number): number {
  let hash = value
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** Weight times the slow-start factor: 10 % at first, linear to 100 % over the window. */
export function effectiveWeight(instance: Balanced, now: number, slowStartMs: number): number {
  if (slowStartMs <= 0) return instance.weight
  const age = now - instance.slowStartAt
  if (age >= slowStartMs) return instance.weight
  return instance.weight * Math.max(SLOW_START_FLOOR, age / slowStartMs)
}

/**
 * One of the candidates, or undefined when all were tried. Who is ejected is no candidate: see rotation.ts.
 * Full ones are taken last; a full result means that all candidates are at their limit.
 */
export function pickInstance<T extends Balanced>(
  candidates: readonly T[],
  request: BalanceRequest,
): T | undefined {
  const open = usable(candidates, request)
  if (open.length <= 1) return open[0]
  switch (request.kind) {
    case 'least-request':
      return leastRequest(open, request)
    case 'round-robin':
      return roundRobin(open, request)
    case 'consistent-hash':
      return rendezvous(open, request.hash)
  }
}

/** How many of `total` instances may be ejected at a time: the share, one of two or three, never the last. */
export function maxEjected(total: number, share: number): number {
  if (total < 2 || share === 0) return 0
  return Math.min(total - 1, Math.max(1, Math.floor(total * share)))
}

function usable<T extends Balanced>(candidates: readonly T[], request: BalanceRequest): readonly T[] {
  const { tried } = request
  let isClean = tried.size === 0
  for (const candidate of candidates) if (candidate.isFull) isClean = false
  if (isClean) return candidates
  const untried = tried.size === 0 ? candidates : candidates.filter((one) => !tried.has(one.key))
  const free = untried.filter((one) => !one.isFull)
  return free.length === 0 ? untried : free
}

/**
 * Power of two choices: two different ones drawn by weight, the one with less in flight for its weight wins;
 * a tie goes to the first drawn, so that an idle service is still split by weight.
 */
function leastRequest<T extends Balanced>(open: readonly T[], request: BalanceRequest): T | undefined {
  const { now, slowStartMs } = request
  let total = 0
  for (const one of open) total += effectiveWeight(one, now, slowStartMs)
  const first = draw(open, total, undefined, request)
  if (first === undefined || first.inFlight === 0) return first
  const firstWeight = effectiveWeight(first, now, slowStartMs)
  const second = draw(open, total - firstWeight, first, request)
  if (second === undefined) return first
  const secondLoad = second.inFlight / effectiveWeight(second, now, slowStartMs)
  return secondLoad < first.inFlight / firstWeight ? second : first
}

function draw<T extends Balanced>(
  open: readonly T[],
  total: number,
  except: T | undefined,
  request: BalanceRequest,
): T | undefined {
  let rest = request.random() * total
  let last: T | undefined
  for (const one of open) {
    if (one === except) continue
    last = one
    rest -= effectiveWeight(one, request.now, request.slowStartMs)
    if (rest < 0) return one
  }
  // Rounding may leave a crumb after the last one.
  return last
}

/** Smooth weighted round robin: a heavy one is spread between the others instead of served in a row. */
function roundRobin<T extends Balanced>(open: readonly T[], request: BalanceRequest): T | undefined {
  const { credits, now, slowStartMs } = request
  let best: T | undefined
  let bestCredit = Number.NEGATIVE_INFINITY
  let total = 0
  for (const one of open) {
    const weight = effectiveWeight(one, now, slowStartMs)
    const credit = (credits.get(one.key) ?? 0) + weight
    credits.set(one.key, credit)
    total += weight
    if (credit > bestCredit) {
      best = one
      bestCredit = credit
    }
  }
  if (best !== undefined) credits.set(best.key, bestCredit - total)
  return best
}

/**
 * Weighted rendezvous: the highest score wins. Linear in the number of instances with one logarithm each;
 * a leaving instance moves only its own keys, a new one takes only its share. Slow start does not apply:
 * it would move keys twice.
 */
function rendezvous<T extends Balanced>(open: readonly T[], hash: number): T | undefined {
  let best: T | undefined
  let bestScore = Number.NEGATIVE_INFINITY
  for (const one of open) {
    const share = (finalize(hash ^ one.hash) + 0.5) / 0x1_0000_0000
    const score = one.weight / -Math.log(share)
    if (score > bestScore || (score === bestScore && best !== undefined && one.key < best.key)) {
      best = one
      bestScore = score
    }
  }
  return best
}
