/** HTTP/1.1 over a bare socket: what is sent is exactly what the spec says, nothing is mended on the way. */
import { connect } from 'node:net'

/** @property headers lower-case names; several occurrences in order */
export interface RawAnswer {
  readonly status: number
  readonly headers: ReadonlyMap<string, readonly string[]>
  readonly text: string
  /** The JSON of the body, also of the last event of a stream; an empty object where there is none. */
  readonly json: {
    readonly id?: unknown
    readonly result?: Readonly<Record<string, unknown>>
    readonly error?: {
      readonly code: number
      readonly message: string
      readonly data?: Readonly<Record<string, unknown>>
    }
  }
}

/**
 * @property headers name and value of each line in order; `host` and `connection: close` are added
 * @property body    sent as it is, announced by content-length unless `framing` says otherwise
 * @property framing `chunked`: in chunks of 1000 bytes. `none`: the headers say how long the body is
 * @property timeoutMs how long the whole answer may take, 20 s unless told
 */
export interface RawRequest {
  readonly verb?: string
  readonly target: string
  readonly headers?: readonly (readonly [name: string, value: string])[]
  readonly body?: Uint8Array | string
  readonly framing?: 'length' | 'chunked' | 'none'
  readonly timeoutMs?: number
}

/**
 * Sends one request on a connection of its own and reads until the other side closes it.
 *
 * @param name the Host header, where it is not the origin's
 */
export async function sendRaw(origin: string, request: RawRequest, name?: string): Promise<RawAnswer> {
  const { hostname, port, host } = new URL(origin)
  return parseAnswer(await talk(hostname, Number(port), bytesOf(request, name ?? host), request.timeoutMs ?? 20_000))
}

/** The bytes of a request. */
export function bytesOf(request: RawRequest, host: string): Buffer {
  const { verb = 'POST', target, headers = [], body, framing = 'length' } = request
  const payload = body === undefined ? Buffer.alloc(0) : Buffer.from(body as Uint8Array)
  const framed = body === undefined ? [] : framingOf(framing, payload.length)
  const lines = [['Host', host], ['Connection', 'close'], ...framed, ...headers].map(
    ([name, value]) => `${name}: ${value}`,
  )
  // latin1, so that a header may hold any byte.
  const head = Buffer.from(`${verb} ${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  return Buffer.concat([head, framing === 'chunked' ? chunked(payload) : payload])
}

function framingOf(framing: RawRequest['framing'], length: number): string[][] {
  if (framing === 'chunked') return [['Transfer-Encoding', 'chunked']]
  return framing === 'none' ? [] : [['Content-Length', String(length)]]
}

function chunked(payload: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < payload.length; at += 1000) {
    const part = payload.subarray(at, at + 1000)
    parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n'))
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')])
}

function talk(host: string, port: number, bytes: Buffer, timeoutMs: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const socket = connect(port, host, () => socket.write(bytes))
    const end = (error?: Error): void => {
      clearTimeout(timer)
      socket.destroy()
      // A server that refuses a body early closes while it is still being written; what it said counts.
      if (chunks.length > 0) resolve(Buffer.concat(chunks))
      else reject(error ?? new Error('the connection was closed without an answer'))
    }
    const timer = setTimeout(() => end(new Error(`no end of the answer within ${timeoutMs} ms`)), timeoutMs)
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('end', () => end())
    socket.on('error', end)
  })
}

function parseAnswer(bytes: Buffer): RawAnswer {
  const end = bytes.indexOf('\r\n\r\n')
  if (end === -1) throw new Error(`no HTTP answer: ${bytes.subarray(0, 200).toString('latin1')}`)
  const [statusLine = '', ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n')
  const headers = new Map<string, string[]>()
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    headers.set(name, [...(headers.get(name) ?? []), line.slice(colon + 1).trim()])
  }
  const rest = bytes.subarray(end + 4)
  const text = (headers.get('transfer-encoding')?.[0] === 'chunked' ? unchunked(rest) : rest).toString('utf8')
  return { status: Number(statusLine.split(' ')[1]), headers, text, json: lastJson(text) }
}

function unchunked(bytes: Buffer): Buffer {
  const parts: Buffer[] = []
  let at = 0
  for (;;) {
    const end = bytes.indexOf('\r\n', at)
    const length = end === -1 ? 0 : parseInt(bytes.subarray(at, end).toString('latin1'), 16)
    if (!length) return Buffer.concat(parts)
    parts.push(bytes.subarray(end + 2, end + 2 + length))
    at = end + 2 + length + 2
  }
}

/** The text of the message in a body: the body itself, or the data of the last event of a stream. */
export function messageText(text: string): string {
  if (!/^(event|id|data|retry)?:/.test(text)) return text
  const data = text.split('\n').filter((line) => line.startsWith('data: {'))
  return data.at(-1)?.slice(6).trimEnd() ?? ''
}

function lastJson(text: string): RawAnswer['json'] {
  try {
    const value: unknown = JSON.parse(messageText(text))
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}
