/** A receiver over HTTP whose behaviour a spec decides, request by request. */
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

export interface Got {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/**
 * What to answer. `cut`: send the head and a part of the body, then break the connection; `drop`: break it without an
 * answer.
 */
export interface Reply {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly break?: 'cut' | 'drop'
}

export class HttpReceiver {
  readonly got: Got[] = []
  reply: (got: Got) => Reply | Promise<Reply>
  #server: Server | undefined
  readonly #sockets = new Set<Socket>()
  #port = 0

  constructor(reply: (got: Got) => Reply | Promise<Reply> = () => ({ status: 200 })) {
    this.reply = reply
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** Begins to listen: on the same port as before, where it has been away. */
  async start(): Promise<this> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('error', () => undefined)
      request.on('end', () => {
        void (async () => {
          const got: Got = {
            method: request.method ?? '',
            path: request.url ?? '',
            headers: request.headers,
            body: Buffer.concat(chunks),
          }
          this.got.push(got)
          const { status = 200, headers = {}, body = '', break: broken } = await this.reply(got)
          if (broken === 'drop') {
            request.socket.destroy()
          } else if (broken === 'cut') {
            response.writeHead(status, { ...headers, 'content-length': '1000' })
            response.write('{"half of')
            setTimeout(() => request.socket.destroy(), 5)
          } else {
            response.writeHead(status, headers).end(body)
          }
        })()
      })
    })
    server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      socket.on('error', () => undefined)
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.#port, '127.0.0.1', resolve)
    })
    this.#server = server
    this.#port = (server.address() as AddressInfo).port
    return this
  }

  /** Goes away as a crash would: connections are broken, nobody listens. */
  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    for (const socket of this.#sockets) socket.destroy()
    if (server) await new Promise((resolve) => server.close(resolve))
  }
}

/** The records of bodies of lines, in the order they came. */
export const ndjson = (got: readonly Got[]): any[] =>
  got.flatMap(({ body }) =>
    body
      .toString('utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line)),
  )
