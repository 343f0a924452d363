/** Tokens that were verified before, so that the next request with one costs a hash. */
import { createHash } from 'node:crypto'
import type { Clock } from '../../adapters/clock.ts'
import type { UsedKey } from '../../adapters/jwks/key-set.ts'
import type { Principal } from '../../lib/identity/principal.ts'

const maxTokens = 10_000

/** @property usedKey the key it was verified with, which its provider may take away at any time */
export interface VerifiedToken {
  readonly principal: Principal
  readonly usedKey: UsedKey
}

/**
 * Keyed by the token's digest: the token itself is not kept. A token leaves with its expiry, when its key is no longer the
 * provider's, or when there are too many: the one unused for longest first.
 */
export class VerifiedTokens {
  readonly #byDigest = new Map<string, VerifiedToken>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get(token: string, skewS: number): VerifiedToken | undefined {
    const digest = digestOf(token)
    const found = this.#byDigest.get(digest)
    if (!found) return undefined
    this.#byDigest.delete(digest)
    if (this.#clock.nowMs() / 1000 >= found.principal.expiresAtS + skewS || !found.usedKey.isGood()) return undefined
    this.#byDigest.set(digest, found)
    return found
  }

  add(token: string, verified: VerifiedToken): void {
    const oldest = this.#byDigest.keys().next()
    if (this.#byDigest.size >= maxTokens && !oldest.done) this.#byDigest.delete(oldest.value)
    this.#byDigest.set(digestOf(token), verified)
  }
}

const digestOf = (token: string): string => createHash('sha256').update(token).digest('base64')
