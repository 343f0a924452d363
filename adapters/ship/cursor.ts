/** How far a sink has confirmed the trail, on disk. */
import { createHash } from 'node:crypto'
import { open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isRecord } from '../../lib/is-record.ts'
import { AppendedFile, replaceFile } from './durable-file.ts'
import { type Progress, TrailGap } from './trail-files.ts'

/**
 * The last record that was confirmed.
 *
 * @property offset    bytes of `file` that are confirmed
 * @property lineBytes of the last line, its line feed not counted; with `lineSha256` it shows that the file is the same
 */
export interface Cursor {
  readonly file: string
  readonly offset: number
  readonly boot: string | undefined
  readonly seq: number | undefined
  readonly time: string | undefined
  readonly lineBytes: number
  readonly lineSha256: string
}

/** Where a file was left: what is behind it, and by which number records go on. */
export type End = Pick<Cursor, 'file' | 'offset' | 'boot' | 'seq'>

/** Files of a sink beside its cursor. */
const cursorFile = (folder: string, sink: string): string => join(folder, `${sink}.cursor.json`)
const leftFile = (folder: string, sink: string): string => join(folder, `${sink}.left.jsonl`)

/**
 * Two files: the cursor, replaced after each confirmation, and `<sink>.left.jsonl`, one line for each trail file the
 * cursor has left, with the bytes that were confirmed then and the record they end with. A file is left on disk before the cursor moves to another.
 */
export class CursorFile {
  readonly #folder: string
  readonly #sink: string
  readonly #left: AppendedFile
  #cursor: Cursor | undefined
  readonly #progress = new Map<string, number>()
  /** Of the files that were left, in the order they were. */
  readonly #ends = new Map<string, End>()

  private constructor(folder: string, sink: string) {
    this.#folder = folder
    this.#sink = sink
    this.#left = new AppendedFile(leftFile(folder, sink))
  }

  /** @throws Error for a cursor that cannot be read: one that is there is never taken for none */
  static async open(folder: string, sink: string): Promise<CursorFile> {
    const file = new CursorFile(folder, sink)
    for (const end of await readLeft(leftFile(folder, sink))) file.#hasLeft(end)
    file.#cursor = await readCursor(cursorFile(folder, sink))
    if (file.#cursor) file.#progress.set(file.#cursor.file, file.#cursor.offset)
    return file
  }

  get cursor(): Cursor | undefined {
    return this.#cursor
  }

  get progress(): Progress {
    return this.#progress
  }

  /** What was sent last of each file, in the order they were left; nothing where what comes next need not follow it. */
  get ends(): readonly End[] {
    return this.#cursor ? [...this.#ends.values(), this.#cursor] : []
  }

  async move(to: Cursor): Promise<void> {
    const from = this.#cursor
    if (from && from.file !== to.file) await this.#leave(from)
    await replaceFile(cursorFile(this.#folder, this.#sink), `${JSON.stringify(to)}\n`)
    this.#cursor = to
    this.#progress.set(to.file, to.offset)
  }

  /**
   * Is the trail still the one that was sent?
   *
   * @throws TrailGap where the cursor's file is gone, shorter, or has another record where the last confirmed one was
   */
  async check(directory: string): Promise<void> {
    const { cursor } = this
    if (!cursor) return
    const where = `the cursor of ${this.#sink} stands at byte ${cursor.offset} of ${cursor.file}`
    const handle = await open(join(directory, cursor.file), 'r').catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      throw new TrailGap(`${where}, and the file is gone: what was written to it since was not sent`)
    })
    try {
      const { size } = await handle.stat()
      if (size < cursor.offset) throw new TrailGap(`${where}, and the file ends at ${size}: it was cut`)
      const line = Buffer.alloc(cursor.lineBytes)
      await handle.read(line, 0, line.length, cursor.offset - 1 - line.length)
      if (sha256(line) !== cursor.lineSha256) {
        throw new TrailGap(`${where}, and the record before it is not the one that was sent: the file was changed`)
      }
    } finally {
      await handle.close()
    }
  }

  /**
   * Goes on with what is there, whatever is missing.
   *
   * A file that is not the one that was sent is sent again from its beginning: twice is better than not at all.
   */
  async acceptGap(directory: string): Promise<void> {
    const { cursor } = this
    if (!cursor) return
    const isThere = await open(join(directory, cursor.file), 'r').then(
      async (handle) => (await handle.close(), true),
      () => false,
    )
    const isSame = await this.check(directory).then(
      () => true,
      () => false,
    )
    const offset = isThere && !isSame ? 0 : cursor.offset
    await this.#leave({ file: cursor.file, offset, boot: undefined, seq: undefined })
    await rm(cursorFile(this.#folder, this.#sink), { force: true })
    this.#cursor = undefined
  }

  async #leave({ file, offset, boot, seq }: End): Promise<void> {
    await this.#left.append([JSON.stringify({ file, offset, boot, seq })])
    this.#hasLeft({ file, offset, boot, seq })
  }

  #hasLeft(end: End): void {
    this.#progress.set(end.file, end.offset)
    this.#ends.delete(end.file)
    this.#ends.set(end.file, end)
  }

  async close(): Promise<void> {
    await this.#left.close()
  }
}

/** @throws Error for a cursor that is there and cannot be read */
export async function readCursor(path: string): Promise<Cursor | undefined> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return undefined
  const cursor = parsed(text)
  if (!isCursor(cursor))
    throw new Error(`${path} is no cursor: put it back, or take it away to send the trail again from its beginning`)
  return cursor
}

function isCursor(value: unknown): value is Cursor {
  if (!isRecord(value)) return false
  const { file, offset, lineBytes, lineSha256, boot, seq } = value
  return (
    typeof file === 'string' &&
    isCount(offset) &&
    isCount(lineBytes) &&
    lineBytes < offset &&
    typeof lineSha256 === 'string' &&
    (boot === undefined || typeof boot === 'string') &&
    // As it stands in the record, whoever wrote it there.
    (seq === undefined || Number.isSafeInteger(seq))
  )
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

/** The last line about a file counts; a torn last line is one whose move never happened. */
async function readLeft(path: string): Promise<End[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  })
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => parsed(line) as Partial<End> | undefined)
    .filter((end): end is End => typeof end?.file === 'string' && isCount(end.offset))
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
