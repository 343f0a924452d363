/** One provider's keys, kept locally: fetched when needed, renewed in time, and good for a while when it is away. */
import type { JsonObject } from '../../lib/mcp/message.ts'
import type { Clock } from '../clock.ts'
import { type PublicKey, publicKeysIn } from './public-keys.ts'
import { keyFor } from './verify-signature.ts'

/**
 * @property freshS    how long fetched keys are good without asking again: a key the provider took away is dead after that
 * @property staleS    how long they go on being used when the provider cannot be asked, counted from the last success
 * @property coolDownS the least time between two tries, whoever asks and for whatever key; never more than `freshS`, so that
 *                     keys can be renewed when they must be
 */
export interface KeyTimes {
  readonly freshS: number
  readonly staleS: number
  readonly coolDownS: number
}

export const defaultKeyTimes: KeyTimes = { freshS: 600, staleS: 86_400, coolDownS: 30 }

// Before the first success everybody is refused: then it is worth asking again soon.
const firstCoolDownS = 1
// Renewed this long before it must be, so that nobody waits for it.
const earlyAt = 0.8

/** The provider's keys have never been fetched, or not for longer than they may be stale. */
export class KeysUnavailable extends Error {
  override readonly name = 'KeysUnavailable'
}

/** The provider has no such key. */
export class KeyUnknown extends Error {
  override readonly name = 'KeyUnknown'
}

/**
 * A key that verified something.
 *
 * @property isGood  may what it verified still be relied on? False once the provider has taken the key away, and when that
 *                   has to be found out first
 * @property isStale is it only used because the provider cannot be asked?
 */
export interface UsedKey {
  readonly key: PublicKey
  isGood(): boolean
  isStale(): boolean
}

export class KeySet {
  /** Is told when the provider has other keys than before, the first ones included. */
  onChange: ((keys: readonly PublicKey[]) => void) | undefined
  readonly #load: () => Promise<JsonObject>
  readonly #times: KeyTimes
  readonly #clock: Clock
  readonly #log: (level: 'warn', message: string) => void
  #keys: readonly PublicKey[] = []
  #fetchedMono = -Infinity
  #triedMono = -Infinity
  /** Until when nobody waits for the provider: it was away when it was last asked. */
  #awayUntilMono = -Infinity
  #loading: Promise<void> | undefined

  /** @param load fetches the JWKS document */
  constructor(
    load: () => Promise<JsonObject>,
    times: KeyTimes,
    clock: Clock,
    log: (level: 'warn', message: string) => void,
  ) {
    this.#load = load
    this.#times = { ...times, coolDownS: Math.min(times.coolDownS, times.freshS) }
    this.#clock = clock
    this.#log = log
  }

  /**
   * The key for a token's header. An unknown one is looked for once more at the provider, within the cool-down.
   *
   * @param kid as in the header; undefined: the one key there is for the algorithm
   * @throws KeyUnknown for a key the provider does not have. @throws KeysUnavailable
   */
  async find(kid: string | undefined, alg: string): Promise<UsedKey> {
    if (!this.#isReady()) await this.#refresh()
    this.#ensureUsable()
    let key = keyFor(this.#keys, kid, alg)
    if (!key && (await this.#refresh())) key = keyFor(this.#keys, kid, alg)
    this.#ensureUsable()
    if (!key) throw new KeyUnknown('the provider has no such key')
    return this.#used(key)
  }

  #used(key: PublicKey): UsedKey {
    return {
      key,
      isGood: () =>
        this.#isReady() &&
        this.#isUsable() &&
        this.#keys.some(({ id, digest }) => id === key.id && digest === key.digest),
      isStale: () => this.#ageS() > this.#times.freshS,
    }
  }

  /** Can these keys be used without waiting? Renews them in the background where it is time. */
  #isReady(): boolean {
    const ageS = this.#ageS()
    if (ageS > this.#times.freshS * earlyAt) void this.#refresh()
    // While the provider is away nobody waits for it: the keys it gave are used as long as they may be.
    return ageS <= this.#times.freshS || (this.#isAway() && this.#isUsable())
  }

  #isAway(): boolean {
    return this.#clock.monoMs() <= this.#awayUntilMono
  }

  #isUsable(): boolean {
    return this.#ageS() <= Math.max(this.#times.freshS, this.#times.staleS)
  }

  #ensureUsable(): void {
    if (!this.#isUsable()) throw new KeysUnavailable('the keys of the identity provider cannot be had')
  }

  #ageS(): number {
    return (this.#clock.monoMs() - this.#fetchedMono) / 1000
  }

  /** @returns whether the keys were fetched just now; one fetch serves everybody who waits for it */
  async #refresh(): Promise<boolean> {
    if (!this.#loading) {
      const pauseS =
        this.#fetchedMono === -Infinity ? Math.min(firstCoolDownS, this.#times.coolDownS) : this.#times.coolDownS
      if (this.#clock.monoMs() - this.#triedMono < pauseS * 1000) return false
      this.#triedMono = this.#clock.monoMs()
      // Away until it is known to be back, however long this try takes.
      if (this.#isAway()) this.#awayUntilMono = Infinity
      this.#loading = this.#fetch().finally(() => {
        this.#loading = undefined
      })
    }
    const before = this.#fetchedMono
    await this.#loading
    return this.#fetchedMono !== before
  }

  async #fetch(): Promise<void> {
    try {
      const keys = publicKeysIn(await this.#load())
      const isChanged = namesOf(keys) !== namesOf(this.#keys)
      this.#keys = keys
      if (isChanged) this.onChange?.(keys)
      this.#fetchedMono = this.#clock.monoMs()
      this.#awayUntilMono = -Infinity
    } catch (error) {
      // Long enough for the next try, and no longer: a failure of hours ago says nothing about now, and a key that was taken
      // away since must not be used.
      this.#awayUntilMono = this.#clock.monoMs() + 2 * this.#times.coolDownS * 1000
      this.#log('warn', `keys not renewed: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
}

const namesOf = (keys: readonly PublicKey[]): string =>
  JSON.stringify(keys.map(({ id, digest }) => `${id ?? ''} ${digest}`).sort())
