/** Tokens that were verified a moment ago, so that the next request with one costs a hash. */
import { createHash } from 'node:crypto'
import type { Clock } from '../../adapters/clock.ts'
import type { Principal } from '../../lib/identity/principal.ts'

const maxTokens = 10_000

/**
 * Keyed by the token's digest: the token itself is not kept. A token leaves with its expiry, when there are too many, or
 * after ten minutes, so that a key the provider withdrew stops working here, too.
 */
export class VerifiedTokens {
  readonly #byDigest = new Map<string, { readonly principal: Principal; readonly addedMono: number }>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get(token: string, skewS: number): Principal | undefined {
    const digest = digestOf(token)
    const found = this.#byDigest.get(digest)
    if (!found) return undefined
    const isExpired = this.#clock.nowMs() / 1000 >= found.principal.expiresAtS + skewS
    const isOld = this.#clock.monoMs() - found.addedMono > verifiedForMs
    if (!isExpired && !isOld) return found.principal
    this.#byDigest.delete(digest)
    return undefined
  }

  add(token: string, principal: Principal): void {
    const oldest = this.#byDigest.keys().next()
    if (this.#byDigest.size >= maxTokens && !oldest.done) this.#byDigest.delete(oldest.value)
    this.#byDigest.set(digestOf(token), { principal, addedMono: this.#clock.monoMs() })
  }
}

const verifiedForMs = 10 * 60_000

const digestOf = (token: string): string => createHash('sha256').update(token).digest('base64')
