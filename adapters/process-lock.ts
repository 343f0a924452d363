/** One process of a kind for one directory: a shipper for its state, an anchorer for its trail. */
import { type FileHandle, open, stat, unlink } from 'node:fs/promises'
import { type Server, connect, createServer } from 'node:net'
import { join } from 'node:path'

/** @property isHeld false once the lock was lost: another process took its place */
export interface Lock {
  isHeld(): Promise<boolean>
  release(): Promise<void>
}

/**
 * Takes the lock of that name (of a file in the directory); undefined where another process has it.
 *
 * It is a unix socket somebody listens on: the kernel gives it back however its holder ends, and it is seen across the
 * namespaces of containers, where process ids mean nothing. Two that find a dead socket at the same moment may both take
 * it; the one whose socket was replaced notices, and until then both send, which is twice and never too little. A writer of
 * a trail could not bear that: it has a lock of its own (audit-sink/directory-lock.ts), without a file.
 */
export async function takeLock(directory: string, name: string): Promise<Lock | undefined> {
  const folder = await open(directory, 'r')
  const path = pathOf(folder, directory, name)
  const server = createServer((socket) => socket.end())
  server.unref()
  for (let tries = 0; tries < 3; tries++) {
    if (await listens(server, path)) {
      const { ino } = await stat(path)
      const isHeld = async (): Promise<boolean> => (await stat(path).catch(() => undefined))?.ino === ino
      return {
        isHeld,
        release: async () => {
          // Closing takes the name away, whosever it is by now.
          if (await isHeld()) await new Promise((resolve) => server.close(resolve))
          await folder.close()
        },
      }
    }
    if (await answers(path)) break
    await unlink(path).catch(() => undefined)
  }
  await folder.close()
  return undefined
}

/** Does somebody have the lock now? */
export async function isLocked(directory: string, name: string): Promise<boolean> {
  const folder = await open(directory, 'r').catch(() => undefined)
  if (!folder) return false
  try {
    return await answers(pathOf(folder, directory, name))
  } finally {
    await folder.close()
  }
}

/** A socket's path has 107 bytes at most, a directory's may have more: it is reached through the open folder. */
const pathOf = ({ fd }: FileHandle, directory: string, name: string): string =>
  process.platform === 'linux' ? `/proc/self/fd/${fd}/${name}` : join(directory, name)

function listens(server: Server, path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      if (error.code === 'EADDRINUSE') resolve(false)
      else reject(error)
    }
    server.once('error', failed)
    server.listen(path, () => {
      server.off('error', failed)
      resolve(true)
    })
  })
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
