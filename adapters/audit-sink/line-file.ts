/** A file of lines that is only appended to: a line is in it whole, or not at all. */
import {
  close,
  closeSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  openSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'

/**
 * Writes in place: into the page cache that takes a few microseconds, a tenth of what handing it to another thread costs
 * (docs/decisions/0006).
 */
export class LineFile {
  #path: string
  readonly #descriptor: number
  readonly #inode: { readonly dev: number; readonly ino: number }
  #size = 0
  #isTorn = false
  #isClosed = false

  /** @throws Error where there is a file of that name already: nobody else ever appends to it */
  constructor(path: string) {
    this.#path = path
    this.#descriptor = openSync(path, 'ax', 0o600)
    this.#inode = fstatSync(this.#descriptor)
  }

  get path(): string {
    return this.#path
  }

  /** Bytes of whole lines. */
  get size(): number {
    return this.#size
  }

  /**
   * Does its name still lead to it, with what was written in it and nothing else? One that was removed takes lines as
   * before, and they are gone when it is closed.
   */
  isInPlace(): boolean {
    const there = statSync(this.#path, { throwIfNoEntry: false })
    const { dev, ino } = this.#inode
    return there?.ino === ino && there.dev === dev && (this.#isTorn || there.size === this.#size)
  }

  /**
   * @param line without its line feed
   * @throws Error when it could not be written; what stands of it is cut off before the next one
   */
  append(line: string): void {
    this.#mustBeOpen()
    if (this.#isTorn) {
      ftruncateSync(this.#descriptor, this.#size)
      this.#isTorn = false
    }
    const bytes = Buffer.from(`${line}\n`)
    this.#isTorn = true
    // Until all of it is written: a disk that fills up takes a part before it says no.
    for (let written = 0; written < bytes.length;) written += writeSync(this.#descriptor, bytes, written)
    this.#size += bytes.length
    this.#isTorn = false
  }

  /** Resolves when what has been written is on the disk. @throws Error when the disk does not say so */
  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#mustBeOpen()
      fdatasync(this.#descriptor, (error) => (error ? reject(error) : resolve()))
    })
  }

  syncNow(): void {
    this.#mustBeOpen()
    fdatasyncSync(this.#descriptor)
  }

  /** Not awaited by anybody: what had to be on disk has been synced before. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    close(this.#descriptor, () => undefined)
  }

  /** Takes the file away again; for one that nothing could be written to. */
  discard(): void {
    if (!this.#isClosed) {
      this.#isClosed = true
      closeSync(this.#descriptor)
    }
    unlinkSync(this.#path)
  }

  /** Gives the file its name, when there is enough in it to deserve one. */
  rename(path: string): void {
    renameSync(this.#path, path)
    this.#path = path
  }

  /** The number of a closed descriptor is soon another file's. */
  #mustBeOpen(): void {
    if (this.#isClosed) throw new Error(`${this.#path} is closed`)
  }
}
