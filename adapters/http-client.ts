/** One request to somebody outside, and a whole answer to it in time, or none. */
import { readFileSync } from 'node:fs'
import { Agent as HttpAgent, type IncomingHttpHeaders, type IncomingMessage, request as httpRequest } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'

export interface Answer {
  readonly status: number
  readonly headers: Readonly<IncomingHttpHeaders>
  readonly body: Buffer
}

/** Is this a web page? Then a proxy, a portal or a page to log in at answered in place of whoever was asked. */
export const isWebPage = ({ headers, body }: Answer): boolean =>
  /^(text\/html|application\/xhtml\+xml)\b/i.test(headers['content-type'] ?? '') ||
  // Not all of them say what they are.
  /^\s*<(!doctype html|html)\b/i.test(body.toString('utf8', 0, 1024))

/** More than anybody has to say who is sent records or checkpoints. */
const maxAnswerBytes = 1024 * 1024

/**
 * Connections to one receiver, two at most.
 *
 * Certificates are always verified, whatever NODE_TLS_REJECT_UNAUTHORIZED says: against the system's authorities or, where
 * `caFile` is given, against those in it and no others. Redirects are not followed.
 */
export class HttpClient {
  readonly #agent: HttpAgent | HttpsAgent
  readonly #timeoutMs: number
  readonly #authorities: () => { readonly ca?: Buffer }

  /**
   * @param timeoutMs for a whole answer, not for a part of it
   * @throws Error for a `caFile` that cannot be read
   */
  constructor(url: string, timeoutMs: number, caFile: string | undefined) {
    const options = { keepAlive: true, maxSockets: 2, timeout: timeoutMs }
    this.#agent = url.startsWith('https:')
      ? new HttpsAgent({
          ...options,
          rejectUnauthorized: true,
        })
      : new HttpAgent(options)
    this.#authorities = () => (caFile === undefined ? {} : { ca: readFileSync(caFile) })
    this.#authorities()
    this.#timeoutMs = timeoutMs
  }

  /** @throws Error where there was no whole answer in time, or one above 1 MiB; what was asked may have been done all the same */
  async request(
    method: 'POST' | 'PUT',
    url: string,
    headers: Readonly<Record<string, string>>,
    body: Buffer,
  ): Promise<Answer> {
    const target = new URL(url)
    return new Promise<Answer>((resolve, reject) => {
      const request = (target.protocol === 'https:' ? httpsRequest : httpRequest)(target, {
        method,
        agent: this.#agent,
        // Read anew, as secrets are. A connection made under other authorities is not used again.
        ...this.#authorities(),
        headers: { ...headers, 'content-length': String(body.length), 'accept-encoding': 'identity' },
        signal: AbortSignal.timeout(this.#timeoutMs),
      })
      request.on('error', (error) => {
        const isLate = error.name === 'AbortError' || error.name === 'TimeoutError'
        reject(isLate ? new Error(`no whole answer within ${this.#timeoutMs} ms`) : error)
      })
      request.once('response', (response) => {
        readAnswer(response).then(resolve, reject)
      })
      // Node closes such a connection, and tells nobody who does not ask.
      request.once('upgrade', (_response, socket) => {
        socket.destroy()
        reject(new Error('the answer was 101, a switch to another protocol'))
      })
      request.end(body)
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}

function readAnswer(response: IncomingMessage): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    response.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > maxAnswerBytes) response.destroy(new Error(`the answer has more than ${maxAnswerBytes} bytes`))
      else chunks.push(chunk)
    })
    response.on('error', reject)
    response.once('close', () => {
      if (!response.complete) reject(new Error('the answer was cut off'))
    })
    response.once('end', () => {
      if (!response.complete) return
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) })
    })
  })
}
