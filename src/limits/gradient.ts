import type { Random } from '../core/duration.ts'
import { SampleWindow } from './sample-window.ts'

export interface GradientOptions {
  /** Limit before anything is known. */
  readonly initial: number
  readonly min: number
  readonly max: number
  /** How much slower than the baseline answers may be before the limit falls: 1.25 = by a quarter. */
  readonly tolerance: number
  /** A window is judged after this, and not before it has `minSamples`. ms. */
  readonly windowMs: number
  readonly minSamples: number
  /** How long a baseline is believed before it is measured again. Jittered by a tenth either way. ms. */
  readonly probeIntervalMs: number
}

/** An answer of the service. */
export interface GradientSample {
  /** Until its headers were there. */
  readonly ms: number
  /** Requests in flight when it was let in, this one among them. */
  readonly inFlight: number
}

/** Of what a falling window may leave of the limit at least: one odd window must not close the service. */
const MIN_GRADIENT = 0.5
/** Share of the way to the new limit that one window goes. */
const SMOOTHING = 0.3
/** So many windows in a row must be quicker than the baseline before it follows: every second one is, by chance. */
const QUICK_WINDOWS = 4
/** Share of the way to a lower baseline that a window then goes. */
const BASELINE_DOWN = 0.25
/** The same for a window with little load, which may also raise it. */
const BASELINE_IDLE = 0.1
/** When so much of a window timed out or was reset, the limit falls. */
const DROP_SHARE = 0.1
/** And not for fewer than this: one lost request says nothing. */
const MIN_DROPS = 2
/** What such a window leaves of the limit. */
const DROP_FACTOR = 0.9
/** A window lasts at least so many baselines: what the last step did to the service must show before the next. */
const WINDOW_BASELINES = 2
/** So many mean answer times pass before a probe's answers count: the old queue drains, and the first answers are the quick ones. */
const PROBE_WARM_UP = 2
/** A probe without enough samples is over after so many windows or mean answer times, whichever is longer. */
const PROBE_PATIENCE = 12
/** When the limit fell to this share of its height, a probe asks whether it is a queue that makes the service slow. */
const FELL_TO = 0.6
/** Probes take at most about one part in this of the time. */
const PROBE_SHARE = 20
/** A probe that found answers this much quicker was begun with a queue: the next one follows soon. */
const FOUND_QUEUE = 0.8
const SOON_WINDOWS = 10

/**
 * How many requests at a time a service can take, learnt from how long it takes for them: the gradient of Netflix'
 * concurrency-limits and of Envoy's adaptive concurrency. Per window, with the median m of the answer times and the
 * baseline b (the median without a queue): `limit → limit × clamp(tolerance × b / m, 0.5, 1) + √limit`. The √ is the
 * headroom by which the limit feels its way up. A window that never used half of the limit changes nothing.
 *
 * The baseline is measured again every now and then, by halving the limit for one window (Envoy goes down to 3
 * requests for it): a long average, as Netflix' Gradient2 has it, follows a standing queue up until nothing is limited.
 *
 * Pure: time comes with each call, chance from outside.
 */
export class GradientLimit {
  #options: GradientOptions
  readonly #random: Random
  readonly #window: SampleWindow
  #estimate: number
  #baselineMs: number | undefined
  #probeAt = Number.POSITIVE_INFINITY
  #probeBegan: number | undefined
  /** Mean of the last window under load: of what begins with a probe the quick ones end first, so it has to be waited out. ms. */
  #meanMs = 0
  /** In a row, quicker than the baseline. */
  #quickWindows = 0
  /** The highest limit since the last probe. */
  #crest = 0

  constructor(options: GradientOptions, random: Random) {
    this.#options = options
    this.#random = random
    this.#estimate = clamp(options.initial, options)
    this.#window = new SampleWindow(random)
  }

  /** Requests that may be in flight now. A whole number, `min` to `max`. */
  get limit(): number {
    const whole = Math.floor(this.#estimate)
    return this.#probeBegan === undefined ? whole : Math.max(this.#options.min, Math.floor(whole / 2))
  }

  /** What an answer takes without a queue, as far as is known. ms. */
  get baselineMs(): number | undefined {
    return this.#baselineMs
  }

  get isProbing(): boolean {
    return this.#probeBegan !== undefined
  }

  /** Other options; what was learnt stays, within the new bounds. */
  configure(options: GradientOptions): void {
    this.#options = options
    this.#estimate = clamp(this.#estimate, options)
  }

  /** The service answered. `now`: monotonic ms. */
  answered(now: number, sample: GradientSample): void {
    const isWrong = !(sample.ms >= 0 && Number.isFinite(sample.ms))
    const isEarly =
      this.#probeBegan !== undefined &&
      (now < this.#probeBegan + PROBE_WARM_UP * this.#meanMs || sample.inFlight > Math.max(this.limit, 1))
    if (!isWrong && !isEarly) this.#window.add(now, sample.ms, sample.inFlight)
    this.#judge(now)
  }

  /** The service did not answer in time, or closed the connection. */
  dropped(now: number, inFlight: number): void {
    this.#window.addDrop(now, inFlight)
    this.#judge(now)
  }

  #judge(now: number): void {
    const { minSamples } = this.#options
    const window = this.#window
    const windowMs = Math.max(this.#options.windowMs, WINDOW_BASELINES * (this.#baselineMs ?? 0))
    if (this.#probeBegan !== undefined && this.#isProbeOverdue(now)) {
      // Half of the answers are better than a limit that stays wrong.
      this.#endProbe(now, window.total * 2 >= minSamples ? window.median() : undefined)
      return
    }
    if (now - window.startedAt < windowMs || window.total < minSamples) return
    const median = window.median()
    const mean = window.mean()
    const isLoaded = window.peakInFlight * 2 > Math.floor(this.#estimate)
    const isDropping = window.drops >= MIN_DROPS && window.drops >= DROP_SHARE * window.total
    window.clear(now)
    if (isDropping) this.#estimate = clamp(this.#estimate * DROP_FACTOR, this.#options)
    if (median === undefined) return
    if (this.#probeBegan !== undefined) this.#endProbe(now, median)
    else {
      this.#meanMs = mean
      this.#learn(now, median, isLoaded, isDropping)
    }
  }

  #learn(now: number, median: number, isLoaded: boolean, isDropping: boolean): void {
    const { tolerance } = this.#options
    if (this.#baselineMs === undefined) {
      this.#baselineMs = median
      // Measured under load it may have a queue in it.
      this.#probeAt = isLoaded ? now : this.#nextProbe(now, 0)
      return
    }
    if (!isLoaded) {
      this.#baselineMs += BASELINE_IDLE * (median - this.#baselineMs)
      this.#probeAt = this.#nextProbe(now, 0)
      return
    }
    this.#quickWindows = median < this.#baselineMs ? this.#quickWindows + 1 : 0
    if (this.#quickWindows >= QUICK_WINDOWS) this.#baselineMs += BASELINE_DOWN * (median - this.#baselineMs)
    const gradient = Math.min(
      1,
      Math.max(MIN_GRADIENT, (tolerance * this.#baselineMs) / Math.max(median, 1e-6)),
    )
    const wanted = this.#estimate * gradient + Math.sqrt(this.#estimate)
    const next = this.#estimate + SMOOTHING * (wanted - this.#estimate)
    // Losses outweigh quick answers: what is refused early is quick.
    this.#estimate = clamp(isDropping ? Math.min(next, this.#estimate) : next, this.#options)
    this.#crest = Math.max(this.#crest, this.#estimate)
    if (now >= this.#probeAt || this.#estimate <= FELL_TO * this.#crest) this.#beginProbe(now)
  }

  #beginProbe(now: number): void {
    this.#probeBegan = now
    this.#crest = 0
    this.#quickWindows = 0
    this.#window.clear(now)
  }

  #isProbeOverdue(now: number): boolean {
    const { windowMs, minSamples } = this.#options
    if (this.#window.total >= minSamples) return false
    const patience = PROBE_PATIENCE * Math.max(windowMs, this.#meanMs)
    return now - (this.#probeBegan as number) > patience
  }

  #endProbe(now: number, median: number | undefined): void {
    const tookMs = now - (this.#probeBegan as number)
    const before = this.#baselineMs
    this.#probeBegan = undefined
    this.#window.clear(now)
    if (median !== undefined) this.#baselineMs = median
    const isQueueFound = median !== undefined && before !== undefined && median < FOUND_QUEUE * before
    this.#probeAt = isQueueFound
      ? now + SOON_WINDOWS * Math.max(this.#options.windowMs, tookMs)
      : this.#nextProbe(now, tookMs)
  }

  /** Gateways that started together must not probe together. */
  #nextProbe(now: number, tookMs: number): number {
    const wait = Math.max(this.#options.probeIntervalMs, PROBE_SHARE * tookMs)
    return now + wait * (0.9 + 0.2 * this.#random())
  }
}

function clamp(limit: number, { min, max }: GradientOptions): number {
  return Math.min(max, Math.max(min, limit))
}
