/** Health on the data path: what takes an instance or a service out, as configuration declares it. Durations in ms. */

/** When an instance leaves rotation because of what its requests met. */
export interface OutlierPolicy {
  /** Failed connects in a row; 0 = never. Default 1. */
  readonly connectFailures: number
  /** Resets, timeouts and broken answers in a row; 0 = never. Default 3. */
  readonly localFailures: number
  /** 502, 503, 504 in a row; 0 = never. Default 5. */
  readonly gatewayErrors: number
  /** 5xx or failures of any kind in a row; 0 = never. Default 5. */
  readonly serverErrors: number
  /** `stdevs` 0 = off. Default 1.9 with 5 instances of 100 requests. */
  readonly successRate: {
    readonly stdevs: number
    readonly minInstances: number
    readonly minRequests: number
  }
  /** `percent` 0 = off. Default 85 with 3 instances of 50 requests. */
  readonly failurePercent: {
    readonly percent: number
    readonly minInstances: number
    readonly minRequests: number
  }
  /** Between two sweeps. Default 10000. */
  readonly intervalMs: number
  /** First time out after a failed connect. Default 5000. */
  readonly connectTimeMs: number
  /** First time out for every other reason. Default 30000. */
  readonly baseTimeMs: number
  /** Longest time out. Default 300000. */
  readonly maxTimeMs: number
  /** Share of the time that is added at random. Default 0.1. */
  readonly jitter: number
  /** Share of the instances that may be out; see `maxEjected`. Default 0.5. */
  readonly maxEjected: number
}

/** Opens when too many tries at a service fail. */
export interface BreakerPolicy {
  /** Default 50. */
  readonly failurePercent: number
  /** Fewer within the window say nothing. Default 20. */
  readonly minRequests: number
  /** Default 10000. */
  readonly windowMs: number
  /** Default 5000. */
  readonly openForMs: number
  /** Requests at a time that try whether it is well again, and how many must succeed. Default 3. */
  readonly halfOpenProbes: number
}

/** What the gateway asks each instance by itself. */
export interface CheckPolicy {
  readonly type: 'http' | 'tcp'
  /** Default `/health`. */
  readonly path: string
  /** Default GET. */
  readonly method: 'GET' | 'HEAD'
  /** Host header; absent = the instance's address. */
  readonly host?: string
  /** Statuses that mean healthy. Default 200 to 299. */
  readonly expect: readonly number[]
  /** Default 10000. */
  readonly intervalMs: number
  /** Default 2000. */
  readonly timeoutMs: number
  /** Good answers in a row to be healthy again. Default 2. */
  readonly healthyAfter: number
  /** Bad ones in a row to be unhealthy. Default 3. */
  readonly unhealthyAfter: number
  /** Share of the interval by which each wait varies. Default 0.1. */
  readonly jitter: number
}

/** `prefer`: instances in the gateway's own zone first; `strict`: only those. */
export type ZoneMode = 'off' | 'prefer' | 'strict'

/** All of it, for one service. */
export interface HealthPolicy {
  readonly outlier: OutlierPolicy
  readonly breaker?: BreakerPolicy
  readonly check?: CheckPolicy
  /** With less than this share in rotation, ejections are ignored; 0 = never. Default 0.5. */
  readonly panic: number
  readonly zone: ZoneMode
}

/** What holds where nothing is configured. */
export const DEFAULT_HEALTH: HealthPolicy = {
  outlier: {
    connectFailures: 1,
    localFailures: 3,
    gatewayErrors: 5,
    serverErrors: 5,
    successRate: { stdevs: 1.9, minInstances: 5, minRequests: 100 },
    failurePercent: { percent: 85, minInstances: 3, minRequests: 50 },
    intervalMs: 10_000,
    connectTimeMs: 5000,
    baseTimeMs: 30_000,
    maxTimeMs: 300_000,
    jitter: 0.1,
    maxEjected: 0.5,
  },
  panic: 0.5,
  zone: 'off',
}
