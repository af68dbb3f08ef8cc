/** How far a roll may go at any moment. */
export interface RollStrategy {
  /** Old instances that may be stopped before a new one is ready. */
  readonly stopAtOnce: number
  /** Old and new together never exceed this. */
  readonly maxInstances: number
}

/**
 * What Marathon makes of `upgradeStrategy` (`computeRestartStrategy` of its TaskReplaceActor): the minimum is
 * rounded up, the maximum down; when that leaves no room at all, one more is allowed.
 */
export function rollStrategy(options: {
  readonly instances: number
  readonly running: number
  readonly minimumHealthCapacity: number
  readonly maximumOverCapacity: number
}): RollStrategy {
  const { instances, running } = options
  // 3 × 1.34 is 4.0200000000000005 and 10 × 1.1 is 11.000000000000002: the digits that were written count.
  const product = (share: number) => Number((instances * share).toFixed(6))
  const minHealthy = Math.ceil(product(options.minimumHealthCapacity))
  const maxCapacity = Math.floor(product(1 + options.maximumOverCapacity))
  const hasNoRoom = minHealthy === maxCapacity && maxCapacity <= running
  return {
    stopAtOnce: Math.max(0, running - minHealthy),
    maxInstances: hasNoRoom ? maxCapacity + 1 : maxCapacity,
  }
}

/** Where a roll stands. */
export interface RollState {
  /** Wanted of the new version. */
  readonly instances: number
  /** Old ones whose process still runs, also those that were told to stop. */
  readonly oldAlive: number
  /** Old ones that were told to stop, since the round began. */
  readonly stopped: number
  /** Old ones not yet told to stop. */
  readonly oldLeft: number
  readonly newStarted: number
  readonly newReady: number
}

/** How many to start and to stop now. Each new instance that is ready lets one old one go. */
export function nextMoves(strategy: RollStrategy, state: RollState): { start: number; stop: number } {
  const room = strategy.maxInstances - state.oldAlive - state.newStarted
  return {
    start: Math.max(0, Math.min(state.instances - state.newStarted, room)),
    stop: Math.max(0, Math.min(state.oldLeft, strategy.stopAtOnce + state.newReady - state.stopped)),
  }
}
