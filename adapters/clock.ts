/** The outside world's time and randomness, in one place so that a spec can stand in for it. */
import { randomBytes, randomUUID } from 'node:crypto'
import { performance } from 'node:perf_hooks'

/** @property nowMs wall clock, milliseconds since the Unix epoch. @property monoMs monotonic, milliseconds, any origin */
export interface Clock {
  nowMs(): number
  monoMs(): number
}

export const systemClock: Clock = { nowMs: () => Date.now(), monoMs: () => performance.now() }

/** An id nobody can guess: 122 random bits, as a UUID version 4. */
export const newId = (): string => randomUUID()

/** A secret nobody can guess: 256 random bits in base64url. */
export const newSecret = (): string => randomBytes(32).toString('base64url')
