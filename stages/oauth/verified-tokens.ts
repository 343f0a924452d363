/** Tokens that were verified before, so that the next request with one costs a hash. */
import { createHash } from 'node:crypto'
import type { Clock } from '../../adapters/clock.ts'
import type { UsedKey } from '../../adapters/jwks/key-set.ts'
import type { Principal } from '../../lib/identity/principal.ts'

const maxTokens = 10_000
// What they say is kept, several times over: 10,000 ordinary tokens fit.
const maxCharacters = 16 * 1024 * 1024

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
  readonly #byDigest = new Map<string, VerifiedToken & { readonly length: number }>()
  #characters = 0
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get(token: string, skewS: number): VerifiedToken | undefined {
    const digest = digestOf(token)
    const found = this.#byDigest.get(digest)
    if (!found) return undefined
    this.#drop(digest)
    if (this.#clock.nowMs() / 1000 >= found.principal.expiresAtS + skewS || !found.usedKey.isGood()) return undefined
    this.#keep(digest, found)
    return found
  }

  add(token: string, verified: VerifiedToken): void {
    for (const [oldest] of this.#byDigest) {
      if (this.#byDigest.size < maxTokens && this.#characters + token.length <= maxCharacters) break
      this.#drop(oldest)
    }
    const digest = digestOf(token)
    this.#drop(digest)
    this.#keep(digest, { ...verified, length: token.length })
  }

  #keep(digest: string, token: VerifiedToken & { readonly length: number }): void {
    this.#byDigest.set(digest, token)
    this.#characters += token.length
  }

  #drop(digest: string): void {
    this.#characters -= this.#byDigest.get(digest)?.length ?? 0
    this.#byDigest.delete(digest)
  }
}

const digestOf = (token: string): string => createHash('sha256').update(token).digest('base64')
