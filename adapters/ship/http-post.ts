/** One request to a receiver, and what its status says about the batch. */
import { readFileSync } from 'node:fs'
import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { Sent } from './sinks/sink.ts'

/** @property body the first 64 KiB of it, which is more than any receiver has to say */
export interface Answer {
  readonly status: number
  readonly body: string
  readonly retryAfter: string | undefined
}

const maxAnswerBytes = 64 * 1024

/**
 * Connections to one receiver.
 *
 * Certificates are always verified, against the system's authorities or, where `caFile` is given, against those in it and
 * no others. Redirects are not followed.
 */
export class HttpClient {
  readonly #agent: HttpAgent | HttpsAgent
  readonly #timeoutMs: number

  constructor(url: string, timeoutMs: number, caFile: string | undefined) {
    const options = { keepAlive: true, maxSockets: 2, timeout: timeoutMs }
    this.#agent = url.startsWith('https:')
      ? new HttpsAgent({ ...options, ...(caFile === undefined ? {} : { ca: readFileSync(caFile) }) })
      : new HttpAgent(options)
    this.#timeoutMs = timeoutMs
  }

  /** @throws Error where there was no whole answer in time; the request may have been carried out all the same */
  async request(method: 'POST' | 'PUT', url: string, headers: Readonly<Record<string, string>>, body: Buffer) {
    const target = new URL(url)
    return new Promise<Answer>((resolve, reject) => {
      const request = (target.protocol === 'https:' ? httpsRequest : httpRequest)(target, {
        method,
        agent: this.#agent,
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
      // What is more is read, so that the connection can be used again, and forgotten.
      if (size < maxAnswerBytes) chunks.push(chunk)
      size += chunk.length
      if (size > 16 * maxAnswerBytes) response.destroy(new Error('the answer does not end'))
    })
    response.on('error', reject)
    response.once('close', () => {
      if (!response.complete) reject(new Error('the answer was cut off'))
    })
    response.once('end', () => {
      if (!response.complete) return
      resolve({
        status: response.statusCode ?? 0,
        body: Buffer.concat(chunks).subarray(0, maxAnswerBytes).toString('utf8'),
        retryAfter: response.headers['retry-after'],
      })
    })
  })
}

/**
 * What a status means, where the receiver's protocol does not say more.
 *
 * A refusal of the caller (401, 403, 404 …) is not one of the records: nothing is given up for it. Only 400 and 422 are
 * about what was sent.
 */
export function sentByStatus({ status, retryAfter }: Answer, nowMs: number): Sent {
  const because = `the receiver answered ${status}`
  if (status >= 200 && status < 300) return { what: 'confirmed' }
  if (status === 413) return { what: 'too_large', because }
  if (status === 400 || status === 422) return { what: 'refused', because }
  const after = retryAfterMs(retryAfter, nowMs)
  const isPassing = status === 408 || status === 425 || status === 429 || status >= 500
  return {
    what: 'again',
    because,
    ...(after === undefined ? {} : { afterMs: after }),
    ...(isPassing ? {} : { isConfig: true }),
  }
}

/** A receiver that asks for a longer wait is asked again after this. */
const maxRetryAfterMs = 15 * 60_000

/** Retry-After in milliseconds: seconds, or a date (RFC 9110 10.2.3); undefined for what is neither. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined
  const waitMs = /^\d{1,9}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - nowMs
  return Number.isNaN(waitMs) ? undefined : Math.min(Math.max(waitMs, 0), maxRetryAfterMs)
}

/** What went wrong on the way, in a few words. */
export const noAnswer = (error: unknown): Sent => ({
  what: 'again',
  because: error instanceof Error ? `no answer: ${codeOf(error)}${error.message}` : 'no answer',
})

function codeOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException
  return code === undefined || error.message.includes(code) ? '' : `${code}: `
}
