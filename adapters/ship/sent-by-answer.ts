/** What a receiver's answer says about the batch it was sent. */
import { type Answer, isWebPage } from '../http-client.ts'
import type { Sent } from './sinks/sink.ts'

/**
 * What a status means, where the receiver's protocol does not say more.
 *
 * A web page is nobody's confirmation.
 *
 * A refusal of the caller (401, 403, 404 …) is not one of the records: nothing is given up for it. Only 400 and 422 are
 * about what was sent.
 */
export function sentByStatus(answer: Answer, nowMs: number): Sent {
  const { status, headers } = answer
  const because = `the receiver answered ${status}`
  if (status >= 200 && status < 300)
    return isWebPage(answer)
      ? { what: 'again', because: `${because} with a web page: something else answered in its place`, isConfig: true }
      : { what: 'confirmed' }
  if (status === 413) return { what: 'too_large', because }
  if (status === 400 || status === 422) return { what: 'refused', because }
  const after = retryAfterMs(headers['retry-after'], nowMs)
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
