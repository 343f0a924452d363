/** Nonces that put a server's time into a client's proof (RFC 9449 8 and 9). Nothing is kept. */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Clock } from '../clock.ts'

const windowMs = 5 * 60_000
const minKeyBytes = 32

/**
 * One nonce for every five minutes: a MAC of the window's number, so nobody without the key can tell the next one
 * (RFC 9449 8: nonces are unpredictable), and every node with the key knows it.
 *
 * A nonce is good for its own window and the one after: five to ten minutes from when it was handed out.
 */
export class DpopNonces {
  readonly #clock: Clock
  readonly #key: Uint8Array

  /**
   * @param key at least 32 secret bytes, the same on every node that answers for the same URLs
   * @throws RangeError for a shorter key
   */
  constructor(clock: Clock, key: Uint8Array) {
    if (key.length < minKeyBytes) throw new RangeError(`the key for DPoP nonces needs ${minKeyBytes} bytes or more`)
    this.#clock = clock
    this.#key = Uint8Array.from(key)
  }

  /** The nonce to hand out now: 43 characters of base64url. */
  current(): string {
    return this.#nonceOf(this.#window())
  }

  /** Which window a nonce is of. `previous` is still good, and its bearer should be given the current one (RFC 9449 8.2). */
  isCurrent(nonce: string): 'current' | 'previous' | 'no' {
    const window = this.#window()
    if (isSame(nonce, this.#nonceOf(window))) return 'current'
    return isSame(nonce, this.#nonceOf(window - 1)) ? 'previous' : 'no'
  }

  #window(): number {
    return Math.floor(this.#clock.nowMs() / windowMs)
  }

  #nonceOf(window: number): string {
    return createHmac('sha256', this.#key).update(`dpop-nonce ${window}`).digest('base64url')
  }
}

/** Takes the same time wherever two texts of equal length differ. */
function isSame(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}
