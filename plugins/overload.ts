import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import type { OverloadConfig } from '../src/config/overload.ts'
import type { Random } from '../src/core/duration.ts'
import type { Headers } from '../src/core/headers.ts'
import type { PriorityClass } from '../src/core/priority-class.ts'
import type { RouteSpec } from '../src/core/route.ts'
import type { OverloadView } from '../src/core/views.ts'
import { createBotTest } from '../src/filters/request-class.ts'
import {
  OverloadController,
  type OverloadLevel,
  type OverloadReading,
  type OverloadReason,
} from '../src/limits/overload.ts'

/** A reading covers this. ms. */
const READ_EVERY_MS = 500
/** How often the delay of the loop is taken. ms. */
const RESOLUTION_MS = 20
/** The gauge stays up for so many readings after a request was refused for `maxRequests`. */
const LINGER_READINGS = 4

/** Where readings come from. */
export interface OverloadSensor {
  read(): OverloadReading
  close(): void
}

export interface OverloadDeps {
  readonly random: Random
  /** Absent = this process. */
  readonly sensor?: OverloadSensor
  /** The level changed. */
  onLevel?(view: OverloadView, before: OverloadLevel): void
  onShed?(priorityClass: PriorityClass, reason: OverloadReason): void
}

/** A request that is refused: try again after so many seconds. */
export interface Shed {
  readonly retryAfterSeconds: number
}

/**
 * Refuses requests while the gateway itself is short of time, memory or places. Our own and not
 * @fastify/under-pressure: that acts in Fastify's hooks, which our requests do not pass; it refuses all alike, health
 * checks too; and it is on or off, at the first bad reading.
 */
export class Overload {
  readonly #config: OverloadConfig
  readonly #deps: OverloadDeps
  readonly #controller: OverloadController
  readonly #sensor: OverloadSensor | undefined
  readonly #isBot: (agent: string) => boolean
  /** Below this nobody is refused for want of places. */
  readonly #quietBelow: number
  #timer: NodeJS.Timeout | undefined
  #inFlight = 0
  #reading: OverloadReading | undefined
  #level: OverloadLevel = 0
  /** Readings until a refusal for `maxRequests` is forgotten. */
  #lingers = 0
  #shed = 0

  constructor(config: OverloadConfig, deps: OverloadDeps) {
    this.#config = config
    this.#deps = deps
    const { eventLoopDelay, heap, rss, maxRequests, enabled } = config
    const { from, full, utilization } = eventLoopDelay
    this.#controller = new OverloadController(
      { delayMs: { from, full }, utilization, heap, rss, maxRequests },
      deps.random,
    )
    this.#quietBelow = enabled && maxRequests > 0 ? 0.7 * maxRequests : Number.POSITIVE_INFINITY
    this.#sensor = enabled ? (deps.sensor ?? processSensor(rss.full > 0)) : undefined
    this.#isBot = createBotTest(config.bots)
  }

  get inFlight(): number {
    return this.#inFlight
  }

  get view(): OverloadView {
    const { pressure, reason } = this.#controller
    return {
      level: this.#level,
      pressure,
      reason: this.#level === 0 ? undefined : pressure === 0 ? 'requests' : reason,
      delayMs: this.#reading?.delayMs,
      heap: this.#reading?.heap,
      inFlight: this.#inFlight,
      shed: this.#shed,
    }
  }

  start(): void {
    if (this.#sensor === undefined || this.#timer !== undefined) return
    this.#timer = setInterval(() => this.tick(), READ_EVERY_MS).unref()
  }

  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#sensor?.close()
  }

  /** Takes a reading; the timer does it. */
  tick(): void {
    if (this.#sensor === undefined) return
    this.#reading = this.#sensor.read()
    this.#controller.read(this.#reading)
    const level = this.#controller.level === 0 && this.#lingers > 0 ? 1 : this.#controller.level
    if (this.#lingers > 0) this.#lingers--
    if (level === this.#level) return
    const before = this.#level
    this.#level = level
    this.#deps.onLevel?.(this.view, before)
    if (level === 0) this.#shed = 0
  }

  /** A request or tunnel begins. */
  begin(): void {
    this.#inFlight++
  }

  /** It is over. */
  end(): void {
    this.#inFlight--
  }

  /** Whether a request that began is to be refused: a plain test unless the gateway is short of something. */
  refuses(spec: RouteSpec, headers: Headers): Shed | undefined {
    if (this.#controller.pressure === 0 && this.#inFlight <= this.#quietBelow) return undefined
    const priorityClass = this.#classOf(spec, headers)
    const reason = this.#controller.sheds(priorityClass, this.#inFlight)
    if (reason === undefined) return undefined
    this.#shed++
    if (reason === 'requests') this.#lingers = LINGER_READINGS
    this.#deps.onShed?.(priorityClass, reason)
    const { retryAfter } = this.#config
    return { retryAfterSeconds: Math.max(1, Math.ceil((retryAfter / 1000) * (1 + this.#deps.random()))) }
  }

  /** Who sent it is not known before filters run: credentials are taken at their word. */
  #classOf(spec: RouteSpec, headers: Headers): PriorityClass {
    if (spec.class !== undefined) return spec.class
    if (this.#config.credentials.some((name) => headers.has(name))) return 'authenticated'
    return this.#isBot(headers.get('user-agent') ?? '') ? 'bots' : 'anonymous'
  }
}

/** Reads this process. */
function processSensor(wantsRss: boolean): OverloadSensor {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  histogram.enable()
  let busy = performance.eventLoopUtilization()
  return {
    read() {
      const now = performance.eventLoopUtilization()
      const { utilization } = performance.eventLoopUtilization(now, busy)
      busy = now
      // The histogram has the distance of its own timer, the delay is what is beyond that. NaN without an entry.
      const p99 = histogram.percentile(99) / 1e6
      histogram.reset()
      const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics()
      return {
        delayMs: Math.max(0, (Number.isFinite(p99) ? p99 : 0) - RESOLUTION_MS),
        utilization,
        heap: used / limit,
        rss: wantsRss ? process.memoryUsage.rss() : 0,
      }
    },
    close: () => void histogram.disable(),
  }
}
