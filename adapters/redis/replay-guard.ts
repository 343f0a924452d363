/** Whether something that is good only once is seen for the first time: the `jti` of a DPoP proof (RFC 9449 11.1), for one. */
import type { Clock } from '../clock.ts'
import { digestOf } from './digest.ts'
import type { SharedRedis } from './shared-redis.ts'

const maxKeys = 200_000
const maxKeysOfOne = 50_000

/**
 * As many keys as this node can remember, or remembers of one owner, are within their time. To forget one would let it be
 * used again.
 */
export class ReplayGuardFull extends Error {
  override readonly name = 'ReplayGuardFull'
}

/** @property owner digest of whose it is */
interface Remembered {
  readonly owner: string
  readonly expiresMono: number
}

/**
 * With Redis, first on all nodes that share it; without, first on this node since its start.
 *
 * This node remembers what it has seen in both cases: a Redis that was emptied does not make its proofs new.
 */
export class ReplayGuard {
  readonly #clock: Clock
  readonly #redis: SharedRedis | undefined
  readonly #known = new Map<string, Remembered>()
  readonly #countOf = new Map<string, number>()
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
   * @param owner whose share it is taken from: nobody can fill what others need as well
   * @throws RedisAway, ReplayGuardFull where the question cannot be answered: the caller must refuse
   * @throws RangeError for a time that is over
   */
  async isFirst(key: string, ttlMs: number, owner: string): Promise<boolean> {
    if (!(ttlMs > 0 && ttlMs <= Number.MAX_SAFE_INTEGER))
      throw new RangeError(`ttlMs must be more than 0, not ${ttlMs}`)
    const digest = digestOf(key)
    const now = this.#clock.monoMs()
    const known = this.#known.get(digest)
    if (known && known.expiresMono > now) return false
    if (!this.#redis) {
      this.#remember(digest, digestOf(owner), now + ttlMs, now)
      return true
    }
    const isFirst = await this.#redis.command('set', this.#redis.key('once', digest), '1', 'PX', Math.ceil(ttlMs), 'NX')
    if (isFirst !== 'OK') return false
    try {
      this.#remember(digest, digestOf(owner), now + ttlMs, now)
    } catch (error) {
      // Redis has it: what this node remembers beside that is for the day Redis forgets.
      if (!(error instanceof ReplayGuardFull)) throw error
    }
    return true
  }

  #remember(digest: string, owner: string, expiresMono: number, now: number): void {
    const isFull = (): boolean => this.#known.size >= maxKeys || (this.#countOf.get(owner) ?? 0) >= maxKeysOfOne
    if (isFull()) this.#forgetExpired(now)
    if (isFull()) throw new ReplayGuardFull('as many keys are remembered as may be, and none may be forgotten yet')
    this.#forget(digest)
    this.#known.set(digest, { owner, expiresMono })
    this.#countOf.set(owner, (this.#countOf.get(owner) ?? 0) + 1)
    this.#nextExpiryMono = Math.min(this.#nextExpiryMono, expiresMono)
  }

  #forgetExpired(now: number): void {
    // A full guard is asked often, and has something to forget seldom.
    if (now < this.#nextExpiryMono) return
    this.#nextExpiryMono = Infinity
    for (const [digest, { expiresMono }] of this.#known) {
      if (expiresMono <= now) this.#forget(digest)
      else this.#nextExpiryMono = Math.min(this.#nextExpiryMono, expiresMono)
    }
  }

  #forget(digest: string): void {
    const known = this.#known.get(digest)
    if (!known) return
    this.#known.delete(digest)
    const left = (this.#countOf.get(known.owner) ?? 1) - 1
    if (left > 0) this.#countOf.set(known.owner, left)
    else this.#countOf.delete(known.owner)
  }
}
