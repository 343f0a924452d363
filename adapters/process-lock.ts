/** One process of a kind for one directory: a shipper for its state, an anchorer for its trail. */
import { type FileHandle, open, readdir, stat, unlink } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { newId } from './clock.ts'

/** @property isHeld false once somebody took the lock's file away: another process may take its place */
export interface Lock {
  isHeld(): Promise<boolean>
  release(): Promise<void>
}

const answerWithinMs = 100
const tries = 5

/**
 * Takes the lock of that name in a directory.
 *
 * It is a unix socket somebody listens on: the kernel gives it back however its holder ends, and it is seen across the
 * namespaces of containers that share the directory, where process ids mean nothing. Each makes a socket of its own, and
 * looks for others only then: of two that come at the same moment at least one finds the other, so never do both have it.
 *
 * @returns who has it where another process does: `pid 12 on host`
 */
export async function takeLock(directory: string, name: string): Promise<Lock | string> {
  for (let left = tries; ; left--) {
    const folder = await open(directory, 'r')
    const file = `${name}-${newId()}.sock`
    const own = new OwnSocket(pathOf(folder, directory, file))
    try {
      await own.listen()
      const other = await othersOf(folder, directory, name, file)
      const isThere = async (): Promise<boolean> =>
        (await stat(join(directory, file)).catch(() => undefined)) !== undefined
      // Taken for dead before it listened, and taken away: whoever did so may have stepped back since.
      if (other === undefined && (await isThere())) {
        own.isTaken = true
        return {
          isHeld: isThere,
          release: async () => {
            await own.close()
            await folder.close()
          },
        }
      }
      await own.close()
      await folder.close()
      // Another one that is only trying: both step back, and one comes first the next time.
      if (left === 1 || other?.endsWith(trying) === false) return other?.replace(trying, '') ?? 'gone since'
    } catch (error) {
      await own.close()
      await folder.close()
      throw error
    }
    await sleep(Math.random() * 50)
  }
}

/** Who has the lock now; undefined where nobody has. */
export async function holderOf(directory: string, name: string): Promise<string | undefined> {
  const folder = await open(directory, 'r').catch(() => undefined)
  if (!folder) return undefined
  try {
    for (const file of await filesOf(directory, name)) {
      const who = await whoListens(pathOf(folder, directory, file))
      if (who !== undefined) return who.replace(trying, '')
    }
    return undefined
  } finally {
    await folder.close()
  }
}

const trying = ', trying'

/** Says to whoever connects whose it is. */
export class OwnSocket {
  isTaken = false
  readonly #path: string
  readonly #server: Server

  constructor(path: string) {
    this.#path = path
    this.#server = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.end(`pid ${process.pid} on ${hostname()}${this.isTaken ? '' : trying}`)
      socket.destroySoon()
    })
    this.#server.unref()
  }

  /** @throws Error where the path is taken, and where there can be no socket */
  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ path: this.#path }, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
  }

  /** Takes its file away, too. */
  close(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()))
  }
}

const filesOf = async (directory: string, name: string): Promise<string[]> =>
  (await readdir(directory)).filter((file) => file.startsWith(`${name}-`) && file.endsWith('.sock'))

/** Whoever listens on another socket of this lock; those nobody listens on any more are taken away. */
async function othersOf(folder: FileHandle, directory: string, name: string, own: string): Promise<string | undefined> {
  for (const file of await filesOf(directory, name)) {
    if (file === own) continue
    const path = pathOf(folder, directory, file)
    const who = await whoListens(path)
    if (who !== undefined) return who
    await unlink(path).catch(() => undefined)
  }
  return undefined
}

/**
 * Who listens on a socket; undefined where nobody does. One that takes long to say who it is (a stopped process), or may not
 * be asked, is there all the same.
 */
export function whoListens(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let said = ''
    const socket = connect(path)
    const late = setTimeout(() => socket.destroy(), answerWithinMs)
    const isGone = ({ code }: NodeJS.ErrnoException): boolean => code === 'ECONNREFUSED' || code === 'ENOENT'
    socket.on('data', (data) => (said += data.toString('utf8')))
    socket.on('error', (error) => {
      if (isGone(error)) resolve(undefined)
    })
    socket.on('close', () => {
      clearTimeout(late)
      resolve(said === '' ? 'who does not say which' : said.slice(0, 300))
    })
  })
}

/** A socket's path has 107 bytes at most, a directory's may have more: it is reached through the open folder. */
const pathOf = ({ fd }: FileHandle, directory: string, file: string): string =>
  process.platform === 'linux' ? `/proc/self/fd/${fd}/${file}` : join(directory, file)
