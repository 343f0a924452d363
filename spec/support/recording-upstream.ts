/** Stands between the gateway and an MCP server, keeps every byte of both directions, and changes nothing. */
import { createServer, type IncomingMessage, request as httpRequest, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { KongYaml } from './gateway-under-test.ts'

/** @property target the request line's, query included. @property headers name and value of each line as received */
export interface RecordedRequest {
  readonly verb: string
  readonly target: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: Buffer
  readonly answer: { readonly text: () => string }
}

export interface CannedAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array
}

export class RecordingUpstream {
  readonly requests: RecordedRequest[] = []
  /** Answers in the server's place, where it returns something. */
  instead: ((request: RecordedRequest) => CannedAnswer | undefined) | undefined
  readonly #server = createServer((request, response) => this.#serve(request, response))
  #behind: URL | undefined

  static async start(): Promise<RecordingUpstream> {
    const upstream = new RecordingUpstream()
    await new Promise<void>((resolve) => upstream.#server.listen(0, '127.0.0.1', resolve))
    return upstream
  }

  get target(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Makes a Kong Upstream lead here. */
  stepInto(config: KongYaml, upstream: string): void {
    const found = config.upstreams.find(({ name }) => name === upstream)
    if (!found) throw new Error(`kong.yml has no upstream ${upstream}`)
    found.targets = [{ target: this.target }]
  }

  /** @param url the MCP server that stands behind */
  leadTo(url: string): void {
    this.#behind = new URL(url)
  }

  /** The value of the last request's header; undefined where it was not there. */
  static header(request: RecordedRequest | undefined, name: string): string | undefined {
    return request?.headers.find(([found]) => found.toLowerCase() === name)?.[1]
  }

  /** Everything the gateway sent, as one text to search in. */
  everything(): string {
    return this.requests
      .map(({ verb, target, headers, body }) =>
        [`${verb} ${target}`, ...headers.map(([name, value]) => `${name}: ${value}`), body.toString('latin1')].join(
          '\n',
        ),
      )
      .join('\n\n')
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const body: Buffer[] = []
    request.on('data', (chunk: Buffer) => body.push(chunk))
    request.on('end', () => {
      const { rawHeaders } = request
      const headers = rawHeaders.flatMap((name, at) =>
        at % 2 === 0 ? [[name, rawHeaders[at + 1] ?? ''] as const] : [],
      )
      const answered: Buffer[] = []
      const recorded: RecordedRequest = {
        verb: request.method ?? '',
        target: request.url ?? '',
        headers,
        body: Buffer.concat(body),
        answer: { text: () => Buffer.concat(answered).toString('utf8') },
      }
      this.requests.push(recorded)
      const canned = this.instead?.(recorded)
      if (canned) response.writeHead(canned.status, canned.headers).end(canned.body)
      else this.#pass(recorded, rawHeaders, response, (chunk) => answered.push(chunk))
    })
  }

  #pass(
    recorded: RecordedRequest,
    rawHeaders: string[],
    response: ServerResponse,
    keep: (chunk: Buffer) => void,
  ): void {
    if (!this.#behind) throw new Error('leadTo was not called')
    const { hostname, port } = this.#behind
    const { verb: method, target: path, body } = recorded
    const onward = httpRequest({ host: hostname, port, method, path, headers: rawHeaders }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
      response.flushHeaders()
      answer.on('data', keep)
      answer.pipe(response)
    })
    onward.on('error', () => response.destroy())
    response.on('close', () => onward.destroy())
    onward.end(body)
  }
}
