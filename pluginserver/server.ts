/** The plugin server: one process per Kong node, every plugin of the suite, one unix socket. */
import { chmod, lstat, mkdir, unlink } from 'node:fs/promises'
import { type Server, type Socket, createConnection, createServer } from 'node:net'
import { dirname } from 'node:path'
import type { PluginModule } from '../adapters/kong/pdk.ts'
import { type Log, serveConnection } from './connection.ts'
import { Instances } from './instances.ts'

/** @property eventTimeoutMs default 30,000: longer than any upstream list may take, shorter than a client's patience */
export interface PluginServerOptions {
  readonly socket: string
  readonly plugins: ReadonlyMap<string, PluginModule>
  readonly log: Log
  readonly eventTimeoutMs?: number
}

/** @property close stops taking connections, waits for the events under way (up to `graceMs`), then closes */
export interface PluginServer {
  close(graceMs?: number): Promise<void>
}

/**
 * Listens on a unix socket only this user may connect to.
 *
 * @throws Error when another server answers on the socket, or the path is something else than a socket
 */
export async function startPluginServer(options: PluginServerOptions): Promise<PluginServer> {
  const { socket: path, log, eventTimeoutMs = 30_000 } = options
  const instances = new Instances(options.plugins)
  const sockets = new Set<Socket>()
  let underWay = 0
  let whenIdle: (() => void) | undefined

  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    serveConnection(socket, {
      instances,
      eventTimeoutMs,
      log,
      onEvent: (change) => {
        underWay += change
        if (underWay === 0) whenIdle?.()
      },
    })
  })
  await mkdir(dirname(path), { recursive: true })
  await removeStale(path)
  await listen(server, path)

  return {
    async close(graceMs = 10_000) {
      server.close()
      if (underWay > 0) {
        await new Promise<void>((resolve) => {
          whenIdle = resolve
          setTimeout(resolve, graceMs).unref()
        })
      }
      // What is still written to a connection goes out before it closes.
      for (const socket of sockets) socket.destroySoon()
    },
  }
}

/** The mask is what keeps other users out: the socket never exists with wider permissions, not even for a moment. */
async function listen(server: Server, path: string): Promise<void> {
  const before = process.umask(0o077)
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(path, resolve)
    })
  } finally {
    process.umask(before)
  }
  await chmod(path, 0o600)
}

/** Takes away the socket of a server that died. One that answers is left alone. */
async function removeStale(path: string): Promise<void> {
  const stat = await lstat(path).catch(() => undefined)
  if (!stat) return
  if (!stat.isSocket()) throw new Error(`${path} is not a socket: choose another path, nothing was removed`)
  const answers = await new Promise<boolean>((resolve) => {
    const probe = createConnection(path, () => resolve(true)).once('error', () => resolve(false))
    probe.once('connect', () => probe.destroy())
  })
  if (answers) throw new Error(`another plugin server listens on ${path}: stop it first`)
  await unlink(path)
}
