import type { RedisScript } from '../core/redis-store.ts'
import type { Ask } from './ask.ts'
import type { Decision } from './limit.ts'

/** Redis' own clock: the clocks of gateways differ. µs. */
const REDIS_TIME = "(function() local t = redis.call('TIME') return t[1] * 1000000 + t[2] end)()"

/**
 * The algorithms of limit.ts in Lua, line by line, over one or more keys: all of them count the request, or none.
 * KEYS: counters. ARGV: 1 to give back instead (0 otherwise), then eight numbers a key: algorithm (1 bucket, 2 sliding),
 * cost, what is counted late whatever comes of this request, limit (of a bucket: burst), window in ms, and for a bucket
 * unit, refill, tick. Returns four integers a key: allowed, remaining, reset, retry
 * (ms). `time`: a Lua expression, µs.
 */
export function limitsLua(time: string = REDIS_TIME): string {
  return `
local now = ${time}
local isRefund = ARGV[1] == '1'
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min

local function bucket(a, b, c, cost, late, burst, window, unit, refill, tick)
  local owed, at = 0, now
  if a then
    owed = a
    if c ~= unit then owed = ceil(a / c * unit) end
    local ticks = floor((now - min(b, now)) / tick)
    if ticks >= ceil(owed / refill) then
      owed = 0
    else
      owed = owed - ticks * refill
      at = min(b, now) + ticks * tick
    end
  end
  if isRefund then owed = max(0, owed - cost * unit) cost = 0 end
  local capacity = burst * unit
  if late > 0 then owed = max(owed, min(capacity, owed + late * unit)) end
  local wanted = owed + cost * unit
  local isAllowed = wanted <= capacity
  if isAllowed then owed = wanted end
  local wait = ceil((wanted - capacity) / refill) * tick
  if cost > burst then wait = window * 1000 end
  local reset = ceil(ceil(owed / refill) * tick / 1000)
  return {isAllowed, max(0, floor((capacity - owed) / unit)), reset, ceil(wait / 1000), owed, at, unit, 2 * reset}
end

local function sliding(a, b, c, cost, late, limit, window)
  local ms = floor(now / 1000)
  local index = floor(ms / window)
  local into = ms - index * window
  local current, previous = 0, 0
  if a then
    if b == index + 1 then index, into = b, 0 end
    if b == index then current, previous = a, c
    elseif b == index - 1 then previous = a end
  end
  if isRefund then current = max(0, current - cost) cost = 0 end
  if late > 0 then current = max(current, min(limit, current + late)) end
  local tail = previous * (window - into)
  local isAllowed = tail + (current + cost) * window <= limit * window
  local wait = 0
  if isAllowed then
    current = current + cost
  elseif cost > limit then
    wait = window
  else
    local room = limit - current - cost
    if room >= 0 then wait = window - floor(room * window / previous) - into
    else wait = window - into + (window - floor((limit - cost) * window / current)) end
  end
  local remaining = max(0, floor((limit * window - current * window - tail) / window))
  return {isAllowed, remaining, window - into, wait, current, index, previous, 2 * window}
end

local function ask(i, isFree)
  local n = 2 + (i - 1) * 8
  local kind, cost, late = ARGV[n], tonumber(ARGV[n + 1]), tonumber(ARGV[n + 2])
  local limit, window = tonumber(ARGV[n + 3]), tonumber(ARGV[n + 4])
  if isFree then cost = 0 end
  local a, b, c = string.match(redis.call('GET', KEYS[i]) or '', '^(%d+) (%d+) (%d+)$')
  a, b, c = tonumber(a), tonumber(b), tonumber(c)
  if kind == '2' then return sliding(a, b, c, cost, late, limit, window) end
  local unit, refill, tick = tonumber(ARGV[n + 5]), tonumber(ARGV[n + 6]), tonumber(ARGV[n + 7])
  return bucket(a, b, c, cost, late, limit, window, unit, refill, tick)
end

local answers, isAllowed = {}, true
for i = 1, #KEYS do
  answers[i] = ask(i, false)
  isAllowed = isAllowed and answers[i][1]
end
local reply = {}
for i = 1, #KEYS do
  local one = answers[i]
  if not isAllowed and not isRefund and one[1] then
    one = ask(i, true)
    one[1] = true
  end
  if isAllowed or isRefund or tonumber(ARGV[4 + (i - 1) * 8]) > 0 then
    local state = string.format('%.0f %.0f %.0f', one[5], one[6], one[7])
    redis.call('SET', KEYS[i], state, 'PX', max(1000, one[8]))
  end
  local n = (i - 1) * 4
  reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = one[1] and 1 or 0, one[2], one[3], one[1] and 0 or one[4]
end
return reply
`
}

export const LIMITS_SCRIPT: RedisScript = { name: 'limits', lua: limitsLua(), keys: 0 }

/** The arguments of the script for these asks. */
export function limitsArgs(asks: readonly Ask[], isRefund = false): number[] {
  const args = [isRefund ? 1 : 0]
  for (const { limit, cost, late = 0 } of asks) {
    const kind = limit.algorithm === 'sliding-window' ? 2 : 1
    args.push(kind, cost, late, limit.burst, limit.windowMs, limit.unit, limit.refill, limit.tick)
  }
  return args
}

/** The script's reply. */
export function limitsReply(asks: readonly Ask[], reply: unknown): Decision[] {
  const numbers = reply as number[]
  return asks.map(({ limit }, i) => ({
    isAllowed: numbers[i * 4] === 1,
    limit: limit.burst,
    remaining: Number(numbers[i * 4 + 1]),
    resetMs: Number(numbers[i * 4 + 2]),
    retryAfterMs: Number(numbers[i * 4 + 3]),
  }))
}
