/** Whether something that is good only once is seen for the first time: the `jti` of a DPoP proof (RFC 9449 11.1), for one. */
import type { Clock } from '../clock.ts'
import { digestOf } from './digest.ts'
import type { SharedRedis } from './shared-redis.ts'

const maxKeys = 100_000

/** As many keys as this node can remember are within their time. To forget one would let it be used again. */
export class ReplayGuardFull extends Error {
  override readonly name = 'ReplayGuardFull'
}

/** With Redis, first on all nodes that share it; without, first on this node since its start. */
export class ReplayGuard {
  readonly #clock: Clock
  readonly #redis: SharedRedis | undefined
  readonly #expiresMono = new Map<string, number>()
  #nextExpiryMono = Infinity

  constructor(clock: Clock, redis?: SharedRedis) {
    this.#clock = clock
    this.#redis = redis
  }

  /**
   * Says yes once for a key, and no while it is remembered.
   *
   * @param key   may be a secret: only its digest is kept
   * @param ttlMs how long a second use must be noticed, more than 0
   * @throws RedisAway, ReplayGuardFull where the question cannot be answered: the caller must refuse
   * @throws RangeError for a time that is over
   */
  async isFirst(key: string, ttlMs: number): Promise<boolean> {
    if (!(ttlMs > 0 && ttlMs <= Number.MAX_SAFE_INTEGER))
      throw new RangeError(`ttlMs must be more than 0, not ${ttlMs}`)
    const digest = digestOf(key)
    if (!this.#redis) return this.#isFirstHere(digest, ttlMs)
    return (
      (await this.#redis.command('set', this.#redis.key('once', digest), '1', 'PX', Math.ceil(ttlMs), 'NX')) === 'OK'
    )
  }

  #isFirstHere(digest: string, ttlMs: number): boolean {
    const now = this.#clock.monoMs()
    const expires = this.#expiresMono.get(digest)
    if (expires !== undefined && expires > now) return false
    if (expires === undefined && this.#expiresMono.size >= maxKeys) this.#forgetExpired(now)
    if (expires === undefined && this.#expiresMono.size >= maxKeys) {
      throw new ReplayGuardFull(`${maxKeys} keys are remembered and none of them may be forgotten yet`)
    }
    this.#expiresMono.set(digest, now + ttlMs)
    this.#nextExpiryMono = Math.min(this.#nextExpiryMono, now + ttlMs)
    return true
  }

  #forgetExpired(now: number): void {
    // A full guard is asked often, and has something to forget seldom.
    if (now < this.#nextExpiryMono) return
    this.#nextExpiryMono = Infinity
    for (const [digest, expires] of this.#expiresMono) {
      if (expires <= now) this.#expiresMono.delete(digest)
      else this.#nextExpiryMono = Math.min(this.#nextExpiryMono, expires)
    }
  }
}
