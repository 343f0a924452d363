/** The trail of a node as one long file: which lines come after those that were sent. */
import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** Something between the trail and what was sent of it is not as it must be; nothing is sent until somebody looked. */
export class TrailGap extends Error {
  override readonly name = 'TrailGap'
}

/**
 * How far the files have been read: bytes from the beginning of each; a file that is not named has not been begun.
 *
 * Files are kept apart, and not just "everything up to here in the order of names": a clock that was set back gives the
 * newest file a name before older ones, and a plugin server that is slow to stop may still write to an older file.
 */
export type Progress = ReadonlyMap<string, number>

/** Lines that follow each other in one file. @property end where the last of them ends, its line feed included */
export interface TrailPiece {
  readonly file: string
  readonly begin: number
  readonly lines: readonly TrailLine[]
}

/** @property bytes the line without its line feed. @property end behind its line feed */
export interface TrailLine {
  readonly bytes: Buffer
  readonly end: number
}

const isTrail = /^trail-.*\.jsonl$/
const chunkBytes = 256 * 1024
// The trail's own bound is 64 KiB.
const maxLineBytes = 8 * 1024 * 1024
const lookAgainMs = 30_000
const settledMs = 5_000

export class TrailFiles {
  readonly directory: string
  readonly #nowMs: () => number
  #open: { readonly file: string; readonly handle: FileHandle } | undefined
  /** Size and time of change at which a file had no whole line behind what was read. */
  readonly #exhausted = new Map<string, string>()
  /** Names that had something to read when last seen: one of them that is gone was lost. */
  readonly #waiting = new Set<string>()
  #lookedAllMs = -Infinity
  #named: { readonly mtimeMs: number; readonly names: readonly string[] } | undefined

  constructor(directory: string, nowMs: () => number) {
    this.directory = directory
    this.#nowMs = nowMs
  }

  /** Names of the trail's files in their order. */
  async names(): Promise<readonly string[]> {
    const { mtimeMs } = await stat(this.directory)
    if (this.#named?.mtimeMs === mtimeMs) return this.#named.names
    const names = (await readdir(this.directory)).filter((name) => isTrail.test(name)).sort()
    // Two changes within one tick of the file system's clock have one time: what is new may change without a sign.
    this.#named = Math.abs(this.#nowMs() - mtimeMs) > settledMs ? { mtimeMs, names } : undefined
    return names
  }

  /**
   * The next whole lines, from the first file in order that has any; undefined where there are none yet.
   *
   * Bytes after the last line feed are a line that is still being written, or the torn end of a crash: they wait.
   *
   * @param current the file to go on with; it is looked at first, without looking at the others, but for once in a while:
   *                one that grows as fast as it is read would hold up an older one
   * @throws TrailGap where a file is gone, or shorter than what was read of it
   * @throws Error where there is no trail at all
   */
  async next(
    progress: Progress,
    current: string | undefined,
    maxBytes: number,
    maxLines: number,
  ): Promise<TrailPiece | undefined> {
    // Also when the clock was set back.
    const looksAtAll = Math.abs(this.#nowMs() - this.#lookedAllMs) > lookAgainMs
    if (current !== undefined && !looksAtAll) {
      const more = await this.#piece(current, progress.get(current) ?? 0, maxBytes, maxLines)
      if (more) return more
    }
    const names = await this.names()
    if (names.length === 0)
      throw new Error(`there is no trail in ${this.directory}: is it the directory mcp-audit writes to?`)
    const here = new Set(names)
    for (const name of this.#waiting) {
      if (!here.has(name)) throw new TrailGap(`${name} is gone, and not all of it was sent`)
    }
    if (looksAtAll) this.#named = undefined
    for (const [index, name] of names.entries()) {
      const isOld = progress.has(name) && name !== current && index < names.length - 1
      if (isOld && !looksAtAll && !this.#waiting.has(name)) continue
      const piece = await this.#piece(name, progress.get(name) ?? 0, maxBytes, maxLines)
      if (!piece) continue
      // What an older file has is no end of the look: those behind it have not had their turn.
      if (looksAtAll && name === current) this.#lookedAllMs = this.#nowMs()
      return piece
    }
    if (looksAtAll) this.#lookedAllMs = this.#nowMs()
    return undefined
  }

  /** Forgets what was looked at, for a reader that goes back. */
  rewind(): void {
    this.#exhausted.clear()
    this.#lookedAllMs = -Infinity
  }

  async close(): Promise<void> {
    await this.#open?.handle.close()
    this.#open = undefined
  }

  async #piece(file: string, begin: number, maxBytes: number, maxLines: number): Promise<TrailPiece | undefined> {
    const handle = await this.#handle(file)
    const { size, mtimeMs } = await handle.stat()
    // A torn line may be cut off, and a whole one of its length be written in its place.
    const seen = `${size} ${mtimeMs}`
    if (size < begin) throw new TrailGap(`${file} has ${size} bytes, but ${begin} were sent: it was cut`)
    if (size === begin || this.#exhausted.get(file) === seen) {
      if (size === begin) this.#waiting.delete(file)
      return undefined
    }
    const lines = await readLines(handle, begin, Math.min(size - begin, maxBytes), maxLines, size)
    if (lines.length === 0) {
      if (size - begin > maxLineBytes)
        throw new TrailGap(`${file} has a line of more than ${maxLineBytes} bytes at ${begin}`)
      this.#exhausted.set(file, seen)
      this.#waiting.delete(file)
      return undefined
    }
    this.#waiting.add(file)
    return { file, begin, lines }
  }

  async #handle(file: string): Promise<FileHandle> {
    if (this.#open?.file === file) {
      // The name must still lead to the file that is open.
      const path = join(this.directory, file)
      const [there, held] = await Promise.all([stat(path).catch(() => undefined), this.#open.handle.stat()])
      if (there?.ino === held.ino && there.dev === held.dev) return this.#open.handle
    }
    await this.close()
    try {
      this.#open = { file, handle: await open(join(this.directory, file), 'r') }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      throw new TrailGap(`${file} is gone, and what was sent of it is all there is`)
    }
    return this.#open.handle
  }
}

/** Whole lines from a place on: at least one where there is one, however long. */
async function readLines(
  handle: FileHandle,
  begin: number,
  wantedBytes: number,
  maxLines: number,
  size: number,
): Promise<TrailLine[]> {
  let length = Math.min(Math.max(wantedBytes, 1), size - begin)
  for (;;) {
    const buffer = Buffer.allocUnsafe(length)
    const { bytesRead } = await handle.read(buffer, 0, length, begin)
    const lines = linesOf(buffer.subarray(0, bytesRead), begin, maxLines)
    if (lines.length > 0 || length >= size - begin || length > maxLineBytes) return lines
    length = Math.min(size - begin, Math.max(length * 2, chunkBytes))
  }
}

function linesOf(bytes: Buffer, begin: number, maxLines: number): TrailLine[] {
  const lines: TrailLine[] = []
  for (let at = 0; lines.length < maxLines;) {
    const end = bytes.indexOf(0x0a, at)
    if (end === -1) break
    lines.push({ bytes: bytes.subarray(at, end), end: begin + end + 1 })
    at = end + 1
  }
  return lines
}
