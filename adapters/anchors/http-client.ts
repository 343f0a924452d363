/** One request to somebody outside, and a whole answer to it in time, or none. */
import { readFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body: Buffer
}

/** A time stamp with a long chain has some 10 KiB. */
const maxAnswerBytes = 64 * 1024

/**
 * Certificates are verified, against the system's authorities or those in `caFile`. Redirects are not followed.
 *
 * @param timeoutMs for the whole answer, not for a part of it
 * @throws Error when there was no whole answer in time, or one of more than 64 KiB; what was asked may have been done
 */
export function send(
  method: 'POST' | 'PUT',
  url: URL,
  headers: Readonly<Record<string, string>>,
  body: Buffer,
  { timeoutMs, caFile }: { readonly timeoutMs: number; readonly caFile: string | undefined },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
      method,
      agent: false,
      headers: { ...headers, 'content-length': String(body.length), 'accept-encoding': 'identity' },
      signal: AbortSignal.timeout(timeoutMs),
      ...(caFile === undefined ? {} : { ca: readFileSync(caFile) }),
    })
    const failed = (error: Error): void => {
      const isLate = error.name === 'AbortError' || error.name === 'TimeoutError'
      reject(isLate ? new Error(`no whole answer within ${timeoutMs} ms`) : error)
    }
    request.on('error', failed)
    request.once('response', (response) => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > maxAnswerBytes) response.destroy(new Error(`the answer has more than ${maxAnswerBytes} bytes`))
        else chunks.push(chunk)
      })
      response.on('error', failed)
      response.once('close', () => failed(new Error('the answer was cut off')))
      response.once('end', () => {
        if (response.complete)
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) })
      })
    })
    request.end(body)
  })
}
