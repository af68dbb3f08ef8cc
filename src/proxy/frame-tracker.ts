/**
 * Follows WebSocket frames (RFC 6455 §5.2) by their lengths alone, so that a close frame of ours is put between
 * two frames and never into one.
 */
export class FrameTracker {
  /** Bytes of the header seen so far; at most 14. */
  #header: number[] = []
  #payloadLeft = 0

  /** The last byte seen was the last of a frame (or nothing was seen yet). */
  get isBetweenFrames(): boolean {
    return this.#payloadLeft === 0 && this.#header.length === 0
  }

  /** Looks at the next bytes of the stream. */
  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#payloadLeft > 0) {
        const skip = Math.min(this.#payloadLeft, chunk.length - at)
        this.#payloadLeft -= skip
        at += skip
        continue
      }
      this.#header.push(chunk[at++] as number)
      const length = payloadLength(this.#header)
      if (length === undefined) continue
      this.#header = []
      this.#payloadLeft = length
    }
  }
}

/** The payload's length (mask included in the header) once the header is complete. */
function payloadLength(header: readonly number[]): number | undefined {
  const second = header[1]
  if (second === undefined) return undefined
  const short = second & 0x7f
  const extended = short === 126 ? 2 : short === 127 ? 8 : 0
  const mask = (second & 0x80) === 0 ? 0 : 4
  if (header.length < 2 + extended + mask) return undefined
  if (extended === 0) return short
  let length = 0
  for (let i = 2; i < 2 + extended; i++) length = length * 256 + (header[i] as number)
  return length
}

/** A server's close frame with status 1001, "going away" (RFC 6455 §7.4.1). */
export const GOING_AWAY = Buffer.from([0x88, 0x02, 0x03, 0xe9])
