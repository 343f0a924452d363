/** Writing so that it is there after a crash: of this process, or of the machine. */
import { type FileHandle, open, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Replaces a file as a whole: whoever reads it, also after a crash, finds the old text or the new. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const beside = `${path}.tmp`
  const handle = await open(beside, 'w', 0o600)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(beside, path)
  await syncFolder(path)
}

/** Lines that are added to a file; once `append` returns they stay. */
export class AppendedFile {
  readonly path: string
  #handle: FileHandle | undefined

  constructor(path: string) {
    this.path = path
  }

  /** @param lines without their line feeds */
  async append(lines: readonly (string | Uint8Array)[]): Promise<void> {
    if (lines.length === 0) return
    const handle = await this.#file()
    try {
      await handle.appendFile(Buffer.concat(lines.flatMap((line) => [Buffer.from(line), lineFeed])))
      await handle.datasync()
    } catch (error) {
      // A part of a line may be there: it is seen to when the file is opened again.
      await this.close()
      throw error
    }
  }

  /** The file of that name: somebody may have taken away the one that was written to before, with what was in it. */
  async #file(): Promise<FileHandle> {
    if (this.#handle) {
      const [there, held] = await Promise.all([stat(this.path).catch(() => undefined), this.#handle.stat()])
      if (there?.ino === held.ino && there.dev === held.dev) return this.#handle
      await this.close()
    }
    const handle = await open(this.path, 'a+', 0o600)
    this.#handle = handle
    try {
      await syncFolder(this.path)
      await this.#closeTornLine(handle)
    } catch (error) {
      await this.close()
      throw error
    }
    return handle
  }

  async close(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    await handle?.close()
  }

  /** After a crash in the middle of a line the next one must not become a part of it. */
  async #closeTornLine(handle: FileHandle): Promise<void> {
    const { size } = await handle.stat()
    if (size === 0) return
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1)
    if (buffer[0] !== lineFeed[0]) await handle.appendFile(lineFeed)
  }
}

const lineFeed = Buffer.from('\n')

async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
