/** How many lines a file has that others append to, and may take away. */
import { open, stat } from 'node:fs/promises'

const chunkBytes = 256 * 1024

/** Counts what came since it counted last. */
export class LineCount {
  readonly #path: string
  #counted = { ino: 0, bytes: 0, lines: 0 }

  constructor(path: string) {
    this.#path = path
  }

  /** Whole lines; 0 where there is no such file. */
  async now(): Promise<number> {
    const there = await stat(this.#path).catch(() => undefined)
    if (!there || there.ino !== this.#counted.ino || there.size < this.#counted.bytes)
      this.#counted = { ino: there?.ino ?? 0, bytes: 0, lines: 0 }
    if (!there || there.size === this.#counted.bytes) return this.#counted.lines
    const handle = await open(this.#path, 'r')
    try {
      const chunk = Buffer.alloc(chunkBytes)
      for (;;) {
        const { bytesRead } = await handle.read(chunk, 0, chunk.length, this.#counted.bytes)
        if (bytesRead === 0) return this.#counted.lines
        this.#counted.bytes += bytesRead
        for (let at = chunk.indexOf(0x0a); at !== -1 && at < bytesRead; at = chunk.indexOf(0x0a, at + 1))
          this.#counted.lines++
      }
    } finally {
      await handle.close()
    }
  }
}
