/** Verifies access tokens against the keys of their issuers. */
import type { Claims } from '../../lib/identity/claims.ts'
import { headerFault, isAudience, timeFault, tokenTypeOf } from '../../lib/identity/judge-token.ts'
import type { TokenType } from '../../lib/identity/profiles/profile.ts'
import { readToken } from '../../lib/identity/read-token.ts'
import type { Clock } from '../clock.ts'
import { fetchJson } from '../outbound/fetch-json.ts'
import { discoverJwksUri } from './discover.ts'
import { KeySet, KeyUnknown, KeysUnavailable, type KeyTimes, type UsedKey } from './key-set.ts'
import type { PublicKey } from './public-keys.ts'
import { isSigned } from './verify-signature.ts'

/**
 * @property issuer       exactly as in the token's `iss`
 * @property jwksUri      where its keys are; undefined: found through the issuer's metadata (RFC 8414, OpenID Discovery)
 * @property audiences    the token's `aud` must have one of them, exactly
 * @property companions   audiences that may stand beside; others may not
 * @property algorithms   signature algorithms accepted (RFC 7518), asymmetric only
 * @property types        header `typ` values accepted
 * @property privateHosts hosts of the issuer that may be private or this machine: see fetchJson
 */
export interface IssuerConfig {
  readonly issuer: string
  readonly jwksUri: string | undefined
  readonly audiences: readonly string[]
  readonly companions: readonly string[]
  readonly algorithms: readonly string[]
  readonly types: readonly TokenType[]
  readonly privateHosts: readonly string[]
  readonly keyTimes: KeyTimes
}

/** @property tokenType header `typ`, lower case and without `application/`. @property usedKey what the signature was verified with: asked again as long as the result is remembered */
export type Verified<I extends IssuerConfig = IssuerConfig> =
  | {
      readonly ok: true
      readonly payload: Claims
      readonly tokenType: string | undefined
      readonly issuer: I
      readonly usedKey: UsedKey
    }
  | {
      readonly ok: false
      readonly refusal:
        | { readonly why: 'token_malformed' }
        | { readonly why: 'token_not_accepted'; readonly because: string }
        | { readonly why: 'keys_unavailable'; readonly issuer: string }
    }

export class Issuers {
  /** Is told when an issuer has other keys than before, the first ones included. */
  onKeys: ((issuer: string, keys: readonly PublicKey[]) => void) | undefined
  readonly #keySets = new Map<string, KeySet>()
  readonly #clock: Clock
  readonly #log: (level: 'warn', message: string) => void

  constructor(clock: Clock, log: (level: 'warn', message: string) => void) {
    this.#clock = clock
    this.#log = log
  }

  /**
   * Is this token good here, now? What can be judged without the provider's keys is judged first.
   *
   * @param skewS tolerated clock difference in seconds
   */
  async verify<I extends IssuerConfig>(token: string, accepted: readonly I[], skewS: number): Promise<Verified<I>> {
    const read = readToken(token)
    if (!read.ok) return { ok: false, refusal: { why: 'token_malformed' } }
    const { header, payload } = read
    const issuer = accepted.find((candidate) => candidate.issuer === payload.iss)
    if (!issuer) return notAccepted('issuer')
    const fault = headerFault(header, issuer.algorithms, issuer.types)
    if (fault !== undefined) return notAccepted(fault)
    if (!isAudience(payload.aud, issuer.audiences, issuer.companions)) return notAccepted('aud')
    const untimely = timeFault(payload, this.#clock.nowMs() / 1000, skewS)
    if (untimely !== undefined) return notAccepted(untimely)
    try {
      const usedKey = await this.#keys(issuer).find(header.kid as string | undefined, header.alg as string)
      if (!(await isSigned(token, usedKey.key, header.alg as string))) return notAccepted('signature')
      return { ok: true, payload, tokenType: tokenTypeOf(header), issuer, usedKey }
    } catch (error) {
      if (error instanceof KeyUnknown) return notAccepted('key')
      if (error instanceof KeysUnavailable)
        return { ok: false, refusal: { why: 'keys_unavailable', issuer: issuer.issuer } }
      throw error
    }
  }

  #keys(issuer: IssuerConfig): KeySet {
    const { jwksUri, privateHosts, keyTimes } = issuer
    const name = JSON.stringify([issuer.issuer, jwksUri, privateHosts, keyTimes])
    let keySet = this.#keySets.get(name)
    if (!keySet) {
      keySet = new KeySet(
        async () => fetchJson(jwksUri ?? (await discoverJwksUri(issuer.issuer, privateHosts)), privateHosts),
        keyTimes,
        this.#clock,
        (level, message) => this.#log(level, `${issuer.issuer}: ${message}`),
      )
      keySet.onChange = (keys) => this.onKeys?.(issuer.issuer, keys)
      this.#keySets.set(name, keySet)
    }
    return keySet
  }
}

const notAccepted = (
  because: string,
): { readonly ok: false; readonly refusal: { why: 'token_not_accepted'; because: string } } => ({
  ok: false,
  refusal: { why: 'token_not_accepted', because },
})
