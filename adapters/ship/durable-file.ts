/** Writing so that it is there after a crash: of this process, or of the machine. */
import { type FileHandle, open, rename } from 'node:fs/promises'
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
    if (!this.#handle) {
      this.#handle = await open(this.path, 'a+', 0o600)
      await syncFolder(this.path)
      await this.#closeTornLine(this.#handle)
    }
    await this.#handle.appendFile(Buffer.concat(lines.flatMap((line) => [Buffer.from(line), lineFeed])))
    await this.#handle.datasync()
  }

  async close(): Promise<void> {
    await this.#handle?.close()
    this.#handle = undefined
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
