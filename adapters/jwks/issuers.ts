/** Verifies access tokens against the keys of their issuers. The only place that knows jose's verification. */
import { decodeJwt, errors, jwtVerify } from 'jose'
import type { Clock } from '../clock.ts'
import { fetchJson } from './fetch-json.ts'
import { KeySet, KeysUnavailable } from './key-set.ts'

/**
 * @property issuer     exactly as in the token's `iss`
 * @property jwksUri    where its keys are; undefined: found through the issuer's metadata (RFC 8414, OpenID Discovery)
 * @property audiences  the token's `aud` must have one of them, exactly
 * @property algorithms signature algorithms accepted (RFC 7518), asymmetric only
 * @property types      header `typ` values accepted, lower case
 */
export interface IssuerConfig {
  readonly issuer: string
  readonly jwksUri: string | undefined
  readonly audiences: readonly string[]
  readonly algorithms: readonly string[]
  readonly types: readonly string[]
}

export type Verified =
  | { readonly ok: true; readonly payload: Readonly<Record<string, unknown>> }
  | {
      readonly ok: false
      readonly refusal:
        | { readonly why: 'token_malformed' }
        | { readonly why: 'token_not_accepted'; readonly because: string }
        | { readonly why: 'keys_unavailable'; readonly issuer: string }
    }

/** A compact JWS in its one spelling: base64url without padding or white space (RFC 7515 2). At most 16 KiB. */
const compactJws = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
const maxTokenLength = 16 * 1024

export class Issuers {
  readonly #keySets = new Map<string, KeySet>()
  readonly #clock: Clock
  readonly #log: (level: 'warn', message: string) => void

  constructor(clock: Clock, log: (level: 'warn', message: string) => void) {
    this.#clock = clock
    this.#log = log
  }

  /**
   * Is this token good here, now?
   *
   * @param skewS tolerated clock difference in seconds
   */
  async verify(token: string, accepted: readonly IssuerConfig[], skewS: number): Promise<Verified> {
    if (token.length > maxTokenLength || !compactJws.test(token))
      return { ok: false, refusal: { why: 'token_malformed' } }
    if (!isCanonical(token)) return { ok: false, refusal: { why: 'token_malformed' } }
    const issuer = accepted.find((candidate) => candidate.issuer === claimedIssuer(token))
    if (!issuer) return notAccepted('issuer')
    try {
      const { payload, protectedHeader } = await jwtVerify(token, this.#keys(issuer).find, {
        issuer: issuer.issuer,
        audience: [...issuer.audiences],
        algorithms: [...issuer.algorithms],
        clockTolerance: skewS,
        currentDate: new Date(this.#clock.nowMs()),
        requiredClaims: ['exp', 'sub'],
      })
      if (keyCarriers.some((name) => protectedHeader[name] !== undefined)) return notAccepted('header')
      const type = protectedHeader.typ?.toLowerCase().replace(/^application\//, '') ?? ''
      if (!issuer.types.includes(type)) return notAccepted('typ')
      if (typeof payload.iat === 'number' && payload.iat > this.#clock.nowMs() / 1000 + skewS) return notAccepted('iat')
      return { ok: true, payload }
    } catch (error) {
      if (error instanceof KeysUnavailable)
        return { ok: false, refusal: { why: 'keys_unavailable', issuer: issuer.issuer } }
      if (error instanceof errors.JWTClaimValidationFailed) return notAccepted(error.claim)
      if (error instanceof errors.JWTExpired) return notAccepted('exp')
      if (error instanceof errors.JOSEError) return notAccepted(error.code)
      return notAccepted('unexpected')
    }
  }

  #keys(issuer: IssuerConfig): KeySet {
    const key = issuer.jwksUri ?? issuer.issuer
    let keySet = this.#keySets.get(key)
    if (!keySet) {
      keySet = new KeySet(
        () => loadKeys(issuer),
        this.#clock,
        (level, message) => this.#log(level, `${issuer.issuer}: ${message}`),
      )
      this.#keySets.set(key, keySet)
    }
    return keySet
  }
}

async function loadKeys(issuer: IssuerConfig): Promise<Record<string, unknown>> {
  return fetchJson(issuer.jwksUri ?? (await discoverJwksUri(issuer.issuer)))
}

/** OpenID Connect Discovery 1.0 4, then RFC 8414 3 (the well-known part goes between host and path). */
async function discoverJwksUri(issuer: string): Promise<string> {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/$/, '')
  const places = [
    `${origin}${path}/.well-known/openid-configuration`,
    `${origin}/.well-known/oauth-authorization-server${path}`,
  ]
  const faults: string[] = []
  for (const place of places) {
    try {
      const metadata = await fetchJson(place)
      if (metadata.issuer !== issuer) throw new Error(`${place} names another issuer`)
      if (typeof metadata.jwks_uri !== 'string') throw new Error(`${place} names no jwks_uri`)
      return metadata.jwks_uri
    } catch (error) {
      faults.push(error instanceof Error ? error.message : String(error))
    }
  }
  throw new Error(faults.join('; '))
}

/** Base64url leaves the last character some freedom, which decoders ignore: one token, one spelling. */
const isCanonical = (token: string): boolean =>
  token.split('.').every((part) => Buffer.from(part, 'base64url').toString('base64url') === part)

/** A key or its address in the token itself: nothing the suite would use, and nothing an honest provider sends. */
const keyCarriers = ['jku', 'jwk', 'x5u', 'x5c', 'crit'] as const

/** What a token says of its issuer, not verified: only to choose whose keys to verify it with. */
function claimedIssuer(token: string): unknown {
  try {
    return decodeJwt(token).iss
  } catch {
    return undefined
  }
}

const notAccepted = (because: string): Verified => ({ ok: false, refusal: { why: 'token_not_accepted', because } })
