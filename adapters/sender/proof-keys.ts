/** Keys that proofs were signed with a moment ago, ready to verify with. */
import { type CryptoKey, importJWK } from 'jose'
import { setBounded } from '../../lib/set-bounded.ts'
import type { PublicKey } from './public-jwk.ts'

/** Keeps imported keys by thumbprint and algorithm; the one not asked for longest goes when there are too many. */
export class ProofKeys {
  readonly #byName = new Map<string, CryptoKey>()
  readonly #max: number

  /** @param max keys kept, default 10,000 */
  constructor(max = 10_000) {
    this.#max = max
  }

  /** How many keys are kept. */
  get size(): number {
    return this.#byName.size
  }

  /** @returns undefined for numbers that are no key, such as a point that is not on its curve */
  async get({ jwk, thumbprint }: PublicKey, alg: string): Promise<CryptoKey | undefined> {
    const name = `${alg} ${thumbprint}`
    const key = this.#byName.get(name) ?? (await imported(jwk, alg))
    if (!key) return undefined
    setBounded(this.#byName, name, key, this.#max)
    return key
  }
}

async function imported(jwk: PublicKey['jwk'], alg: string): Promise<CryptoKey | undefined> {
  try {
    return (await importJWK({ ...jwk }, alg)) as CryptoKey
  } catch {
    return undefined
  }
}
