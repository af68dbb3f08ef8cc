import { WHOLE } from '../core/canary.ts'

/** The start of a hash: what all keys of one split have in common, taken in once. */
export interface HashSeed {
  readonly a: number
  readonly b: number
}

const START: HashSeed = { a: 0x9747b28c, b: 0x3c074a61 }

const rotate = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits))

function finish(value: number): number {
  let hash = value
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/**
 * Two murmur3-like lanes over UTF-16 code units, each finished with the other one's bits: 64 bits. Not for secrets.
 * Its values are part of the format: another hash would move every user of every running release.
 */
function mix(text: string, { a: startA, b: startB }: HashSeed): HashSeed {
  let a = startA
  let b = startB
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    a ^= Math.imul(rotate(Math.imul(unit, 0xcc9e2d51), 15), 0x1b873593)
    a = (Math.imul(rotate(a, 13), 5) + 0xe6546b64) | 0
    b ^= Math.imul(rotate(Math.imul(unit, 0x239b961b), 17), 0x38b34ae5)
    b = (Math.imul(rotate(b, 19), 5) + 0x561ccd1b + a) | 0
  }
  a = finish(a ^ text.length ^ Math.imul(b, 0x27d4eb2f))
  b = finish(b ^ text.length ^ Math.imul(a, 0x165667b1))
  return { a, b }
}

/** 53 bits, as much as a number holds exactly. */
export function hash53(text: string, seed: HashSeed = START): number {
  const { a, b } = mix(text, seed)
  return (b & 0x1fffff) * 0x1_0000_0000 + a
}

/** What all keys of one split start from. */
export const seedOf = (text: string): HashSeed => mix(text, START)

/** 0 to 9,999: the same for the same key, whatever the percentage. */
export const bucketOf = (key: string, seed: HashSeed): number => hash53(key, seed) % WHOLE

/** A piece of [0, 10,000) and whose it is. */
export interface Share {
  readonly index: number
  readonly from: number
  readonly to: number
}

/**
 * Where each of several shares (1/10,000, together at most 10,000) lies. Each grows from the start of a place of its
 * own, so that a growing one takes from nobody but the rest; only what is beyond its place goes to free ends of others.
 */
export function layShares(percents: readonly number[]): Share[] {
  const width = Math.floor(WHOLE / Math.max(1, percents.length))
  const home = (index: number) => index * width
  const end = (index: number) => (index === percents.length - 1 ? WHOLE : home(index + 1))
  const shares: Share[] = []
  const free: { from: number; to: number }[] = []
  const over: { index: number; left: number }[] = []
  percents.forEach((percent, index) => {
    const most = end(index) - home(index)
    const taken = Math.min(percent, most)
    if (taken > 0) shares.push({ index, from: home(index), to: home(index) + taken })
    if (taken < most) free.push({ from: home(index) + taken, to: end(index) })
    if (percent > most) over.push({ index, left: percent - most })
  })
  for (const one of over) {
    for (const gap of free) {
      const taken = Math.min(one.left, gap.to - gap.from)
      if (taken <= 0) continue
      shares.push({ index: one.index, from: gap.to - taken, to: gap.to })
      gap.to -= taken
      one.left -= taken
    }
  }
  return shares
}

/** Whose share the bucket is in; -1 = nobody's. */
export function shareAt(shares: readonly Share[], bucket: number): number {
  for (const { index, from, to } of shares) if (bucket >= from && bucket < to) return index
  return -1
}
