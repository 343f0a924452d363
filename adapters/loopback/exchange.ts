/** Asks the upstream for a list through Kong's own proxy port, so that Kong's balancing and TLS stay in use. */
import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { Call } from '../../lib/context/call.ts'
import { passHeader } from './passes.ts'

/** @property base such as `http://127.0.0.1:8000`: Kong's proxy port as this process reaches it */
export interface ExchangeRequest {
  readonly base: string
  readonly call: Call
  readonly pass: string
  readonly body: Uint8Array
  readonly timeoutMs: number
  readonly maxBytes: number
}

/** @property headers lower-case names, as node:http gives them */
export interface ExchangeAnswer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Uint8Array
}

/** Not passed on to the inner request: credentials (the pass stands for them), and what this connection decides itself. */
const dropped = new Set([
  'authorization', 'proxy-authorization', 'cookie', 'connection', 'keep-alive', 'transfer-encoding', 'content-length',
  'expect', 'te', 'upgrade', 'accept-encoding', 'x-forwarded-for', 'x-real-ip',
]) // prettier-ignore

/** What Kong's own authentication plugins look at; they see the inner request, too. It goes no further than Kong. */
const credentials = new Set(['authorization', 'proxy-authorization', 'cookie'])

const agents = {
  http: new HttpAgent({ keepAlive: true, maxSockets: 256 }),
  // Kong's own listener on this machine, under whatever name its certificate has; the pass is what proves who asks.
  https: new HttpsAgent({ keepAlive: true, maxSockets: 256, rejectUnauthorized: false }),
}

/**
 * Sends the outer call's request again, with a pass, and waits for the whole answer.
 *
 * @throws Error when the answer is not there in time, too large, or the connection fails
 */
export function exchange(options: ExchangeRequest): Promise<ExchangeAnswer> {
  const { base, call, pass, body, timeoutMs, maxBytes } = options
  const url = new URL(base)
  const secure = url.protocol === 'https:'
  const headers: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(call.request.headers)) {
    const isNeeded = call.isFromKong === true && credentials.has(name)
    if ((dropped.has(name) && !isNeeded) || name.startsWith('x-forwarded-')) continue
    // What is not plain text would arrive as other bytes than it was sent; no header MCP needs is like that.
    const plain = (typeof value === 'string' ? [value] : value).filter((one) => /^[\t\x20-\x7e]*$/.test(one))
    if (plain.length > 0) headers[name] = plain.length === 1 ? (plain[0] ?? '') : plain
  }
  headers[passHeader] = pass
  headers['accept-encoding'] = 'identity'
  headers['content-length'] = String(body.length)

  return new Promise((resolve, reject) => {
    const request = (secure ? httpsRequest : httpRequest)({
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port,
      method: call.request.verb,
      path:
        call.isFromKong === true && call.request.query !== ''
          ? `${call.request.path}?${call.request.query}`
          : call.request.path,
      headers,
      agent: secure ? agents.https : agents.http,
      signal: AbortSignal.timeout(timeoutMs),
    })
    request.once('error', reject)
    request.once('response', (response) => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > maxBytes) response.destroy(new Error(`the list is larger than ${maxBytes} bytes`))
        else chunks.push(chunk)
      })
      response.once('error', reject)
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 502, headers: response.headers, body: Buffer.concat(chunks) }),
      )
    })
    request.end(body)
  })
}
