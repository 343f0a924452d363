/** One provider's keys, kept locally: fetched when needed, renewed in time, and good for a while when it is away. */
import {
  type CryptoKey,
  createLocalJWKSet,
  errors,
  type FlattenedJWSInput,
  type JWK,
  type JWSHeaderParameters,
} from 'jose'
import type { Clock } from '../clock.ts'

const freshForMs = 10 * 60_000
const usableForMs = 24 * 3_600_000
const coolDownMs = 30_000
// Before the first success everybody is refused: then it is worth asking again soon.
const firstCoolDownMs = 1_000

type FindKey = (header: JWSHeaderParameters, token: FlattenedJWSInput) => Promise<CryptoKey>

/** The provider's keys have never been fetched, or not for a day. */
export class KeysUnavailable extends Error {
  override readonly name = 'KeysUnavailable'
}

export class KeySet {
  readonly #load: () => Promise<Record<string, unknown>>
  readonly #clock: Clock
  readonly #log: (level: 'warn', message: string) => void
  #find: FindKey | undefined
  #fetchedMono = -Infinity
  #triedMono = -Infinity
  #loading: Promise<void> | undefined

  /** @param load fetches the JWKS document */
  constructor(
    load: () => Promise<Record<string, unknown>>,
    clock: Clock,
    log: (level: 'warn', message: string) => void,
  ) {
    this.#load = load
    this.#clock = clock
    this.#log = log
  }

  /**
   * The key for a token's header, for jose. An unknown key is looked for once more at the provider, but never more often
   * than every 30 seconds, whoever asks.
   *
   * @throws errors.JWKSNoMatchingKey for a key the provider does not have. @throws KeysUnavailable
   */
  readonly find: FindKey = async (header, token) => {
    const ageMs = this.#clock.monoMs() - this.#fetchedMono
    // Keys that are still usable are used while new ones are fetched: nobody waits for a provider that is away.
    if (ageMs > usableForMs) await this.#refresh()
    else if (ageMs > freshForMs) void this.#refresh()
    try {
      return await this.#current()(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || !(await this.#refresh())) throw error
      return this.#current()(header, token)
    }
  }

  #current(): FindKey {
    if (!this.#find || this.#clock.monoMs() - this.#fetchedMono > usableForMs) {
      throw new KeysUnavailable('the keys of the identity provider cannot be had')
    }
    return this.#find
  }

  /** @returns whether the keys were fetched just now; one fetch serves everybody who waits for it */
  async #refresh(): Promise<boolean> {
    if (!this.#loading) {
      const pauseMs = this.#find ? coolDownMs : firstCoolDownMs
      if (this.#clock.monoMs() - this.#triedMono < pauseMs) return false
      this.#triedMono = this.#clock.monoMs()
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
      const keys = publicKeysOf(await this.#load())
      this.#find = createLocalJWKSet({ keys })
      this.#fetchedMono = this.#clock.monoMs()
    } catch (error) {
      this.#log('warn', `keys not renewed: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
}

/** @throws Error for a document that is no set of public keys */
function publicKeysOf(document: Record<string, unknown>): JWK[] {
  const { keys } = document
  if (!Array.isArray(keys) || keys.length === 0) throw new Error('the JWKS document has no keys')
  for (const key of keys as JWK[]) {
    if (key.kty === 'oct' || key.d !== undefined) throw new Error('the JWKS document has a private or symmetric key')
  }
  return keys as JWK[]
}
