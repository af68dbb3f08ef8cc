import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'
import { GatewayError } from '../core/errors.ts'
import type { RedisScript, RedisStore } from '../core/redis-store.ts'
import type { Decision } from './limit.ts'

/**
 * rate-limiter-flexible counts refused requests, too, so that who raises a limit would not help a client that went
 * on trying. This script does not. ARGV: points, seconds, limit.
 */
const COUNT_ALLOWED = `
local points, limit = tonumber(ARGV[1]), tonumber(ARGV[3])
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
local ttl = redis.call('PTTL', KEYS[1])
if points > 0 and used + points > limit then
  if ttl < 0 then ttl = ARGV[2] * 1000 end
  return {used + points, ttl}
end
if ttl < 0 then
  if points < 0 then return {0, ARGV[2] * 1000} end
  redis.call('SET', KEYS[1], points, 'EX', ARGV[2])
  return {points, ARGV[2] * 1000}
end
if used + points < 0 then points = -used end
return {redis.call('INCRBY', KEYS[1], points), ttl}
`

/** A store as the one function of an ioredis client that RateLimiterRedis calls. */
export function limiterClient(store: RedisStore, moreArgs: () => readonly (string | number)[] = () => []) {
  let script: RedisScript = { name: 'limiter', keys: 1, lua: '' }
  return {
    get status() {
      return store.isUp ? 'ready' : 'close'
    },
    defineCommand(name: string, { lua }: { lua: string }) {
      script = { name, keys: 1, lua }
    },
    rlflxIncr([key = '', ...args]: readonly string[]) {
      return store.run(script, [key], [...args, ...moreArgs()])
    },
  }
}

export interface WindowOptions {
  readonly limit: number
  /** Whole seconds. */
  readonly windowMs: number
  readonly lua?: string
  readonly moreArgs?: () => readonly (string | number)[]
}

/** Windows in Redis by rate-limiter-flexible: one begins with the first request and ends a window later. */
export class FixedWindows {
  readonly #limiter: RateLimiterRedis
  readonly #limit: number

  constructor(store: RedisStore, { limit, windowMs, lua = COUNT_ALLOWED, moreArgs }: WindowOptions) {
    this.#limit = limit
    this.#limiter = new RateLimiterRedis({
      storeClient: limiterClient(store, moreArgs),
      points: limit,
      duration: Math.ceil(windowMs / 1000),
      keyPrefix: '',
      rejectIfRedisNotReady: true,
      customIncrTtlLuaScript: lua,
    })
  }

  /** `late`: counted before, as far as there is room. Rejects with GW_STORE_UNAVAILABLE. */
  async consume(key: string, cost: number, late = 0): Promise<Decision> {
    try {
      if (late > 0) await this.#limiter.penalty(key, late)
      return this.#decision(await this.#limiter.consume(key, cost), true, 0)
    } catch (thrown) {
      // A refusal is no Error, a failure is.
      if (thrown instanceof RateLimiterRes) return this.#decision(thrown, false, cost)
      if (thrown instanceof GatewayError) throw thrown
      throw new GatewayError('GW_STORE_UNAVAILABLE', 'the limiter failed', { cause: thrown })
    }
  }

  async giveBack(key: string, cost: number): Promise<void> {
    await this.#limiter.reward(key, cost)
  }

  #decision(res: RateLimiterRes, isAllowed: boolean, notCounted: number): Decision {
    const resetMs = Math.max(0, Math.ceil(res.msBeforeNext))
    return {
      isAllowed,
      limit: this.#limit,
      remaining: Math.max(0, this.#limit - (res.consumedPoints - notCounted)),
      resetMs,
      retryAfterMs: isAllowed ? 0 : Math.max(1, resetMs),
    }
  }
}
