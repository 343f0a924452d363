/** One writer to a directory: whoever holds the socket that is named after it. */
import { statSync } from 'node:fs'
import { OwnSocket, whoListens } from '../process-lock.ts'

export interface DirectoryLock {
  release(): void
}

/**
 * Takes the directory for this process, for as long as it lives.
 *
 * An abstract socket (Linux, unix(7)) leaves no file behind, and has no owner any more as soon as its process is gone,
 * however it went. It is seen within one network namespace: two containers that share a volume are not kept apart by it,
 * and `kmcp audit verify` shows that they were not. Elsewhere than on Linux, where no Kong runs, nothing is locked.
 *
 * @throws Error where another process has it; says which
 */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  if (process.platform !== 'linux') return { release: () => undefined }
  // Named by what the directory is, not by one of the paths that lead to it.
  const { dev, ino } = statSync(directory)
  const name = `\0kmcp-audit-${dev}-${ino}`
  const own = new OwnSocket(name)
  own.isTaken = true
  try {
    await own.listen()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    const who = (await whoListens(name)) ?? 'gone since'
    throw new Error(`another plugin server writes to ${directory} (${who}): each needs a directory of its own`)
  }
  return { release: () => void own.close() }
}
