import { GatewayError } from '../core/errors.ts'

const START_BYTES = 256

/** Writes ZooKeeper's serialisation ("jute"): big-endian numbers, lengths before texts, buffers and lists. */
export class JuteWriter {
  #buffer = Buffer.allocUnsafe(START_BYTES)
  /** The first four bytes become the length of the frame. */
  #length = 4

  int(value: number): this {
    this.#need(4)
    this.#length = this.#buffer.writeInt32BE(value, this.#length)
    return this
  }

  long(value: bigint): this {
    this.#need(8)
    this.#length = this.#buffer.writeBigInt64BE(value, this.#length)
    return this
  }

  flag(value: boolean): this {
    this.#need(1)
    this.#length = this.#buffer.writeUInt8(value ? 1 : 0, this.#length)
    return this
  }

  bytes(value: Buffer): this {
    this.int(value.length)
    this.#need(value.length)
    this.#length += value.copy(this.#buffer, this.#length)
    return this
  }

  text(value: string): this {
    return this.bytes(Buffer.from(value, 'utf8'))
  }

  list<T>(values: readonly T[], write: (value: T) => void): this {
    this.int(values.length)
    for (const value of values) write(value)
    return this
  }

  /** The whole frame, its length first. */
  frame(): Buffer {
    this.#buffer.writeInt32BE(this.#length - 4, 0)
    return this.#buffer.subarray(0, this.#length)
  }

  #need(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(2 * this.#buffer.length, this.#length + bytes))
    this.#buffer.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
  }
}

/** Reads what `JuteWriter` writes, without the frame's length. Throws GW_REGISTRY_ANSWER at a wrong end. */
export class JuteReader {
  readonly #buffer: Buffer
  #at = 0

  constructor(buffer: Buffer) {
    this.#buffer = buffer
  }

  int(): number {
    return this.#buffer.readInt32BE(this.#skip(4))
  }

  long(): bigint {
    return this.#buffer.readBigInt64BE(this.#skip(8))
  }

  flag(): boolean {
    return this.#buffer.readUInt8(this.#skip(1)) !== 0
  }

  /** Empty for "no buffer" (length -1), too. */
  bytes(): Buffer {
    const length = Math.max(0, this.int())
    const from = this.#skip(length)
    return this.#buffer.subarray(from, from + length)
  }

  text(): string {
    return this.bytes().toString('utf8')
  }

  list<T>(read: () => T): T[] {
    const count = this.int()
    const values: T[] = []
    for (let i = 0; i < count; i++) values.push(read())
    return values
  }

  #skip(bytes: number): number {
    const from = this.#at
    if (from + bytes > this.#buffer.length) {
      throw new GatewayError('GW_REGISTRY_ANSWER', 'ZooKeeper sent an answer that ends too early')
    }
    this.#at = from + bytes
    return from
  }
}

/** More than this is no answer of a ZooKeeper. Bytes. */
const MAX_FRAME = 64 * 1024 * 1024

/** Cuts a stream of bytes into frames. Belongs to one connection: half a frame must not outlive it. */
export class FrameSplitter {
  #rest: Buffer[] = []
  #bytes = 0

  /** The frames that are whole now, without their lengths. Throws GW_REGISTRY_ANSWER. */
  push(chunk: Buffer): Buffer[] {
    this.#rest.push(chunk)
    this.#bytes += chunk.length
    const frames: Buffer[] = []
    while (this.#bytes >= 4) {
      const length = this.#peek()
      if (length < 0 || length > MAX_FRAME) {
        throw new GatewayError('GW_REGISTRY_ANSWER', `a frame of ${length} bytes: is that a ZooKeeper?`)
      }
      if (this.#bytes < length + 4) break
      const whole = this.#rest.length === 1 ? (this.#rest[0] as Buffer) : Buffer.concat(this.#rest)
      frames.push(whole.subarray(4, length + 4))
      this.#rest = whole.length === length + 4 ? [] : [whole.subarray(length + 4)]
      this.#bytes -= length + 4
    }
    return frames
  }

  #peek(): number {
    if ((this.#rest[0] as Buffer).length < 4) this.#rest = [Buffer.concat(this.#rest)]
    return (this.#rest[0] as Buffer).readInt32BE(0)
  }
}
