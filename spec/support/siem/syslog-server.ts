/** A syslog receiver over TLS that reads octet-counted messages strictly (RFC 5425 4.3), and can die in the middle. */
import type { AddressInfo, Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'

interface Certificate {
  readonly cert: string
  readonly key: string
}

export class SyslogServer {
  readonly messages: string[] = []
  readonly faults: string[] = []
  connections = 0
  /** Breaks a connection after so many messages; what comes behind them is not read. */
  breakAfter = Infinity
  /** Reads from nobody. */
  isDeaf = false
  #server: Server | undefined
  #port = 0
  readonly #sockets = new Set<Socket>()
  readonly #certificate: Certificate
  maxVersion: 'TLSv1.2' | 'TLSv1.3' = 'TLSv1.3'
  /** Ends its side without a word of TLS. */
  isRude = false
  /** Never ends its side, and talks on. */
  isTalker = false

  constructor(certificate: Certificate) {
    this.#certificate = certificate
  }

  get port(): number {
    return this.#port
  }

  async start(): Promise<this> {
    const { cert, key } = this.#certificate
    const server = createServer({ cert, key, maxVersion: this.maxVersion, allowHalfOpen: true }, (socket) =>
      this.#serve(socket),
    )
    server.on('tlsClientError', () => undefined)
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve))
    this.#server = server
    this.#port = (server.address() as AddressInfo).port
    return this
  }

  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    for (const socket of this.#sockets) socket.destroy()
    if (server) await new Promise((resolve) => server.close(resolve))
  }

  #serve(socket: TLSSocket): void {
    this.connections++
    socket.on('error', () => undefined)
    if (this.isDeaf) {
      socket.pause()
      return
    }
    if (this.isTalker) {
      const talking = setInterval(() => socket.write('.'), 20)
      socket.on('close', () => clearInterval(talking))
    }
    socket.on('end', () => {
      if (this.isTalker) return
      if (this.isRude) socket.destroy()
      else socket.end()
    })
    let rest = Buffer.alloc(0)
    let here = 0
    socket.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk])
      for (;;) {
        const space = rest.indexOf(0x20)
        if (space === -1) return
        const count = rest.toString('latin1', 0, space)
        if (!/^[1-9]\d*$/.test(count)) {
          this.faults.push(`no length: ${count.slice(0, 20)}`)
          socket.destroy()
          return
        }
        const end = space + 1 + Number(count)
        if (rest.length < end) return
        this.messages.push(rest.toString('utf8', space + 1, end))
        rest = rest.subarray(end)
        if (++here >= this.breakAfter) {
          socket.destroy()
          return
        }
      }
    })
  }
}

const header =
  /^<(?<priority>\d{1,3})>1 (?<time>\S+) (?<host>\S{1,255}) (?<app>\S{1,48}) (?<procid>\S{1,128}) (?<msgid>\S{1,32}) (?<sd>-|(?:\[[^\]]*\])+) (?<message>[^]*)$/

/** The parts of a message (RFC 5424 6); fails for what is none. */
export function readMessage(text: string): Readonly<Record<string, string>> {
  const groups = header.exec(text)?.groups
  if (!groups) throw new Error(`no message of RFC 5424: ${text.slice(0, 200)}`)
  return groups
}
