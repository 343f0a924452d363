/** Connections to the plugin server, kept for use again. */
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { encodeFrames, FrameReader } from '../../pluginserver/wire/frames.ts'

/** Who is told what arrives on a connection while it is in use. */
export interface FrameListener {
  frame(bytes: Buffer): void
  /** the connection is gone; nothing more will come */
  gone(why: 'closed' | 'timeout'): void
}

/** Kong's `lua_socket_read_timeout` and `lua_socket_keepalive_timeout`: silence after which a connection is closed. */
const timeoutMs = 60_000

export class RpcConnection {
  readonly #socket: Socket
  readonly #reader = new FrameReader()
  #listener: FrameListener | undefined
  #why: 'closed' | 'timeout' = 'closed'
  readonly #onGone: (connection: RpcConnection) => void

  constructor(socket: Socket, onGone: (connection: RpcConnection) => void) {
    this.#socket = socket
    this.#onGone = onGone
    socket.on('data', (chunk) => this.#onData(chunk)).on('close', () => this.#onClose())
    socket.on('error', () => undefined)
    socket.setTimeout(timeoutMs, () => {
      this.#why = 'timeout'
      socket.destroy()
    })
  }

  send(...payloads: readonly Uint8Array[]): void {
    this.#socket.write(encodeFrames(...payloads))
  }

  listen(listener: FrameListener | undefined): void {
    this.#listener = listener
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #onData(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) this.#listener?.frame(frame)
    } catch {
      this.destroy()
    }
  }

  #onClose(): void {
    this.#onGone(this)
    this.#listener?.gone(this.#why)
  }
}

/** Kong's `lua_socket_pool_size` (`kong/templates/kong_defaults.lua`). */
const poolSize = 256

/** The connections to one socket: the one used last is used first, as in nginx. */
export class RpcConnections {
  readonly #path: string
  readonly #idle: RpcConnection[] = []
  #isClosed = false

  constructor(path: string) {
    this.#path = path
  }

  /** @throws Error when nobody listens on the socket */
  acquire(): RpcConnection | Promise<RpcConnection> {
    return this.#idle.pop() ?? this.#connect()
  }

  release(connection: RpcConnection): void {
    if (this.#isClosed || this.#idle.length >= poolSize) {
      connection.destroy()
      return
    }
    connection.listen(undefined)
    this.#idle.push(connection)
  }

  close(): void {
    this.#isClosed = true
    for (const connection of [...this.#idle]) connection.destroy()
  }

  #connect(): Promise<RpcConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.#path)
      socket.once('error', reject).once('connect', () => {
        socket.off('error', reject)
        resolve(
          new RpcConnection(socket, (gone) => {
            const at = this.#idle.indexOf(gone)
            if (at !== -1) this.#idle.splice(at, 1)
          }),
        )
      })
    })
  }
}
