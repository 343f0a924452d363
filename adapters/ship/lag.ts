/** How much of the trail a sink does not have yet, without reading what lies between. */
import { type FileHandle, open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { readLine, type ReadRecord, textAt } from '../../lib/audit/formats/read-line.ts'
import type { Cursor } from './cursor.ts'
import type { Progress, TrailFiles } from './trail-files.ts'

/**
 * @property records whole records that were not confirmed; null where the numbers do not say
 * @property bytes   of those; null where the trail could not be read
 * @property oldest  the first one's `time`; null where there is none, or it does not say
 */
export interface Behind {
  readonly records: number | null
  readonly bytes: number | null
  readonly oldest: string | null
}

/** Never a figure of before: somebody would take it for one of now. */
export const unknown: Behind = { records: null, bytes: null, oldest: null }

const tailBytes = 128 * 1024
/** Measurements between two looks at every file. */
const lookAgain = 30
const maxLineBytes = 8 * 1024 * 1024

/** Numbers are taken from the first and last record of each file, and kept for as long as the file has its size. */
export class Lag {
  readonly #files: TrailFiles
  readonly #tails = new Map<string, { readonly size: number; readonly end: number; readonly seq: number | undefined }>()

  /** Files that were sent to their end, not looked at again for a while: there may be thousands. */
  #finished = new Set<string>()
  #measured = 0

  constructor(files: TrailFiles) {
    this.#files = files
  }

  /** @throws Error where the trail, or a file of it, cannot be read */
  async measure(progress: Progress, cursor: Cursor | undefined): Promise<Behind> {
    let [records, bytes]: [number | null, number] = [0, 0]
    let oldest: string | null = null
    if (this.#measured++ % lookAgain === 0) this.#finished = new Set()
    for (const name of await this.#files.names()) {
      if (this.#finished.has(name)) continue
      const path = join(this.#files.directory, name)
      const from = progress.get(name) ?? 0
      const size = (await stat(path).catch(isGone))?.size ?? 0
      if (size <= from) {
        if (progress.has(name) && name !== cursor?.file) this.#finished.add(name)
        continue
      }
      const handle = await open(path, 'r').catch(isGone)
      if (!handle) continue
      try {
        const tail = await this.#tail(name, handle, size)
        if (tail.end <= from) continue
        const first = await lineAt(handle, from, size)
        const before =
          from === 0 ? (first?.seq ?? NaN) - 1 : cursor?.file === name ? (cursor.seq ?? NaN) : (first?.seq ?? NaN) - 1
        const more = (tail.seq ?? NaN) - before
        records = records !== null && more >= 0 ? records + more : null
        bytes += tail.end - from
        oldest ??= first ? (textAt(first.members, 'time') ?? null) : null
      } finally {
        await handle.close()
      }
    }
    return { records, bytes, oldest }
  }

  /** Where the last whole line ends, and its number. */
  async #tail(name: string, handle: FileHandle, size: number) {
    const known = this.#tails.get(name)
    if (known?.size === size) return known
    let found = { size, end: 0, seq: undefined as number | undefined }
    for (let length = tailBytes; ; length *= 2) {
      const from = Math.max(0, size - length)
      const buffer = Buffer.alloc(size - from)
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, from)
      const bytes = buffer.subarray(0, bytesRead)
      const end = bytes.lastIndexOf(0x0a)
      const begin = end <= 0 ? -1 : bytes.lastIndexOf(0x0a, end - 1)
      if (end !== -1 && (begin !== -1 || from === 0)) {
        found = { size, end: from + end + 1, seq: readLine(bytes.toString('utf8', begin + 1, end))?.seq }
        break
      }
      if (from === 0 || length > maxLineBytes) break
    }
    this.#tails.set(name, found)
    return found
  }
}

/** Retention takes files away that were sent. @throws whatever else it is */
function isGone(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}

async function lineAt(handle: FileHandle, from: number, size: number): Promise<ReadRecord | undefined> {
  for (let length = tailBytes; ; length *= 2) {
    const buffer = Buffer.alloc(Math.min(length, size - from))
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, from)
    const end = buffer.subarray(0, bytesRead).indexOf(0x0a)
    if (end !== -1) return readLine(buffer.toString('utf8', 0, end))
    if (length >= size - from || length > maxLineBytes) return undefined
  }
}
