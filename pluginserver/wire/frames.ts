/**
 * Frames of Kong's plugin protocol: a little-endian uint32 length and that many bytes.
 * Source: Kong 3.9.3 `kong/runloop/plugin_servers/rpc/pb_rpc.lua` (read_frame, write_frame).
 */

/** The largest frame either end accepts, in bytes: a 4 MiB body inline, and ample room around it. */
export const maxFrameBytes = 32 * 1024 * 1024

/** Puts payloads on the wire as one buffer, so that one event costs one write. */
export function encodeFrames(...payloads: readonly Uint8Array[]): Buffer {
  const total = payloads.reduce((sum, payload) => sum + 4 + payload.length, 0)
  const out = Buffer.allocUnsafe(total)
  let at = 0
  for (const payload of payloads) {
    out.writeUInt32LE(payload.length, at)
    out.set(payload, at + 4)
    at += 4 + payload.length
  }
  return out
}

/** Cuts a byte stream into frames. Feed it chunks as they arrive; it keeps what is incomplete. */
export class FrameReader {
  #pending: Buffer[] = []
  #pendingBytes = 0
  readonly #maxBytes: number

  /** @param maxBytes a longer frame is refused */
  constructor(maxBytes = maxFrameBytes) {
    this.#maxBytes = maxBytes
  }

  /**
   * @returns the frames this chunk completed, in order
   * @throws RangeError for a frame over the limit: the stream cannot be trusted after it, drop the connection
   */
  push(chunk: Buffer): Buffer[] {
    this.#pending.push(chunk)
    this.#pendingBytes += chunk.length
    const frames: Buffer[] = []
    for (;;) {
      if (this.#pendingBytes < 4) return frames
      const length = this.#peekLength()
      if (length > this.#maxBytes)
        throw new RangeError(`frame of ${length} bytes is over the limit of ${this.#maxBytes}`)
      if (this.#pendingBytes < 4 + length) return frames
      const bytes = this.#joined()
      frames.push(bytes.subarray(4, 4 + length))
      this.#pending = bytes.length === 4 + length ? [] : [bytes.subarray(4 + length)]
      this.#pendingBytes -= 4 + length
    }
  }

  #peekLength(): number {
    const first = this.#pending[0]
    return (first && first.length >= 4 ? first : this.#joined()).readUInt32LE(0)
  }

  #joined(): Buffer {
    if (this.#pending.length > 1) this.#pending = [Buffer.concat(this.#pending)]
    return this.#pending[0] as Buffer
  }
}
