/** What others have seen of one log, in as little memory as it takes: in a year a node sees another three million times. */
import type { VerifiedLog } from './verify-trails.ts'

/**
 * How long a log was when another node looked, in a checkpoint the log's key has signed.
 *
 * @property root   of the tree over so many records, 32 bytes
 * @property by     the log that says so, in its record `seq`
 * @property timeMs of that record, since the Unix epoch; NaN where it has none
 */
export interface SeenHead {
  readonly size: number
  readonly root: Buffer
  readonly by: VerifiedLog
  readonly seq: number
  readonly timeMs: number
}

const rootBytes = 32

export class SeenHeads {
  readonly #sizes: number[] = []
  readonly #seqs: number[] = []
  readonly #timesMs: number[] = []
  readonly #by: VerifiedLog[] = []
  #roots = Buffer.alloc(64 * rootBytes)

  add({ size, root, by, seq, timeMs }: SeenHead): void {
    const at = this.#sizes.push(size) - 1
    this.#seqs.push(seq)
    this.#timesMs.push(timeMs)
    this.#by.push(by)
    if (this.#roots.length < (at + 1) * rootBytes)
      this.#roots = Buffer.concat([this.#roots, Buffer.alloc(this.#roots.length)])
    root.copy(this.#roots, at * rootBytes)
  }

  get sizes(): Iterable<number> {
    return this.#sizes
  }

  /** The smallest size first; of one size in the order they were added. */
  *bySize(): Generator<SeenHead, undefined> {
    const order = Uint32Array.from(this.#sizes.keys()).sort((a, b) => this.#sizeAt(a) - this.#sizeAt(b) || a - b)
    for (const at of order) {
      const [seq = 0, timeMs = Number.NaN, by] = [this.#seqs[at], this.#timesMs[at], this.#by[at]]
      const root = this.#roots.subarray(at * rootBytes, (at + 1) * rootBytes)
      if (by) yield { size: this.#sizeAt(at), root, by, seq, timeMs }
    }
  }

  #sizeAt(at: number): number {
    return this.#sizes[at] ?? 0
  }
}
