/** One writer to a directory: whoever holds the socket that is named after it. */
import { statSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'

const answerWithinMs = 100

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
  const server = await listen(name)
  if (server) return { release: () => server.close() }
  const pid = await ask(name)
  throw new Error(`another plugin server writes to ${directory} (pid ${pid}): each needs a directory of its own`)
}

function listen(path: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.end(String(process.pid))
    })
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined)
      else reject(error)
    })
    server.listen({ path }, () => {
      server.unref()
      resolve(server)
    })
  })
}

/** One that takes long to say who it is (a stopped process) has it all the same. */
function ask(path: string): Promise<string> {
  return new Promise((resolve) => {
    let said = ''
    const socket = connect(path)
    const late = setTimeout(() => socket.destroy(), answerWithinMs)
    socket.on('data', (data) => (said += data.toString('utf8')))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      clearTimeout(late)
      resolve(/^\d+$/.test(said) ? said : 'unknown')
    })
  })
}
