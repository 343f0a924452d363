/** The requests of one directory: each within the time of its look-up, and none while it has asked for quiet. */
import type { Clock } from '../clock.ts'
import { fetchJson, FetchLate, FetchStatus } from '../outbound/fetch-json.ts'
import { type Ask, DirectoryAway } from './source.ts'

/** Who answers 429 without saying for how long. */
const defaultPauseMs = 5_000
const longestPauseMs = 300_000

export class Requests {
  readonly #privateHosts: readonly string[]
  readonly #clock: Clock
  #quietUntilMono = -Infinity

  constructor(privateHosts: readonly string[], clock: Clock) {
    this.#privateHosts = privateHosts
    this.#clock = clock
  }

  /** How long the directory has asked to be left alone yet, in milliseconds; 0: it may be asked. */
  pauseMs(): number {
    return Math.max(0, this.#quietUntilMono - this.#clock.monoMs())
  }

  /** What asks until then, for all pages of one look-up. */
  until(deadlineMono: number): Ask {
    return async (url, options = {}) => {
      const timeoutMs = Math.ceil(deadlineMono - this.#clock.monoMs())
      if (timeoutMs <= 0) throw late()
      if (this.pauseMs() > 0) throw new DirectoryAway('the directory has asked for quiet')
      try {
        return await fetchJson(url, this.#privateHosts, undefined, { ...options, timeoutMs })
      } catch (error) {
        if (error instanceof FetchLate) throw late()
        if (error instanceof FetchStatus) throw this.#refused(error)
        // Without its query: who is asked about is not everybody's business.
        const message = error instanceof Error ? error.message : String(error)
        throw new DirectoryAway(`the directory cannot be asked: ${message.replaceAll(/\?[^\s`]*/g, '')}`)
      }
    }
  }

  #refused({ status, retryAfter }: FetchStatus): DirectoryAway {
    const pauseMs = pauseOf(retryAfter, this.#clock.nowMs()) ?? (status === 429 ? defaultPauseMs : 0)
    if (status === 429 || status === 503) {
      this.#quietUntilMono = this.#clock.monoMs() + Math.min(pauseMs, longestPauseMs)
    }
    return new DirectoryAway(`the directory answered ${status}`, status)
  }
}

const late = (): DirectoryAway => new DirectoryAway('the directory gave no whole answer in time')

/** Retry-After: seconds or a date (RFC 9110 10.2.3); milliseconds from now, undefined for neither. */
function pauseOf(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined
  if (/^\d+$/.test(header)) return Number(header) * 1_000
  const at = Date.parse(header)
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs)
}
