/** How far a sink has confirmed the trail, on disk. */
import { createHash } from 'node:crypto'
import { open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
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

/** Files of a sink beside its cursor. */
const cursorFile = (folder: string, sink: string): string => join(folder, `${sink}.cursor.json`)
const leftFile = (folder: string, sink: string): string => join(folder, `${sink}.left.jsonl`)

/**
 * Two files: the cursor, replaced after each confirmation, and `<sink>.left.jsonl`, one line for each trail file the
 * cursor has left, with the bytes that were confirmed then. A file is left on disk before the cursor moves to another.
 */
export class CursorFile {
  readonly #folder: string
  readonly #sink: string
  readonly #left: AppendedFile
  #cursor: Cursor | undefined
  readonly #progress = new Map<string, number>()

  private constructor(folder: string, sink: string) {
    this.#folder = folder
    this.#sink = sink
    this.#left = new AppendedFile(leftFile(folder, sink))
  }

  /** @throws Error for a cursor that cannot be read: one that is there is never taken for none */
  static async open(folder: string, sink: string): Promise<CursorFile> {
    const file = new CursorFile(folder, sink)
    for (const [name, offset] of await readLeft(leftFile(folder, sink))) file.#progress.set(name, offset)
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

  async move(to: Cursor): Promise<void> {
    const from = this.#cursor
    if (from && from.file !== to.file) {
      await this.#left.append([JSON.stringify({ file: from.file, offset: from.offset })])
    }
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
    await this.#left.append([JSON.stringify({ file: cursor.file, offset })])
    await rm(cursorFile(this.#folder, this.#sink), { force: true })
    this.#progress.set(cursor.file, offset)
    this.#cursor = undefined
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
  const cursor = parsed(text) as Partial<Cursor> | undefined
  if (typeof cursor?.file !== 'string' || !Number.isSafeInteger(cursor.offset) || typeof cursor.lineSha256 !== 'string')
    throw new Error(`${path} is no cursor: put it back, or take it away to send the trail again from its beginning`)
  return cursor as Cursor
}

/** The last line about a file counts; a torn last line is one whose move never happened. */
async function readLeft(path: string): Promise<Map<string, number>> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  })
  const left = new Map<string, number>()
  for (const line of text.split('\n').slice(0, -1)) {
    const entry = parsed(line) as { file?: unknown; offset?: unknown } | undefined
    if (typeof entry?.file === 'string' && typeof entry.offset === 'number') left.set(entry.file, entry.offset)
  }
  return left
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
