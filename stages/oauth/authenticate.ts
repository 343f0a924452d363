/** From an access token, and the proof that goes with it, to who is calling. */
import { createHash, randomBytes } from 'node:crypto'
import { DpopNonces } from '../../adapters/sender/dpop-nonces.ts'
import { ProofVerifier } from '../../adapters/sender/dpop-proof.ts'
import { RedisAway } from '../../adapters/redis/shared-redis.ts'
import { ReplayGuardFull } from '../../adapters/redis/replay-guard.ts'
import type { Runtime } from '../../adapters/runtime.ts'
import type { SharedState } from '../../adapters/shared-state.ts'
import type { HttpRequest } from '../../lib/context/call.ts'
import type { Refusal } from '../../lib/context/refusal.ts'
import type { Port } from '../../lib/context/stage.ts'
import { isBoundTo } from '../../lib/identity/client-certificate.ts'
import { type Principal, principalFrom } from '../../lib/identity/principal.ts'
import { acceptedIssuers } from './accepted-issuers.ts'
import type { OauthConfig } from './schema.ts'
import { type VerifiedToken, VerifiedTokens } from './verified-tokens.ts'

/** @property keysAreStale the token was verified with keys of a provider that is away */
export interface Authenticated {
  readonly principal: Principal
  readonly keysAreStale?: boolean
  readonly provenBy?: 'dpop' | 'certificate'
}

export type Authenticate = (request: HttpRequest, port: Port) => Promise<Authenticated | Refusal>

/**
 * Prepares how a route's tokens are checked.
 *
 * @throws Error naming what is wrong with the issuers
 */
export function tokenAuthentication(config: OauthConfig, runtime: Runtime, shared: SharedState): Authenticate {
  const issuers = acceptedIssuers(config)
  const verified = new VerifiedTokens(runtime.clock)
  const { dpop } = config
  const proofs = new ProofVerifier(runtime.clock, new DpopNonces(runtime.clock, nonceKey(dpop.nonce_key)))

  return async (request, port) => {
    const presented = presentedToken(request.headers.authorization, dpop.mode !== 'refuse')
    if ('why' in presented) return presented
    const { token, scheme } = presented
    const found = await identify(token)
    if ('why' in found) return found
    const { principal, usedKey } = found
    const binding = await checkBinding(principal, token, scheme, request, port)
    if (binding !== undefined && typeof binding === 'object') return binding
    return {
      principal,
      ...(usedKey.isStale() ? { keysAreStale: true } : {}),
      ...(binding === undefined ? {} : { provenBy: binding }),
    }
  }

  async function identify(token: string): Promise<VerifiedToken | Refusal> {
    const known = verified.get(token, config.clock_skew_s)
    if (known) return known
    const result = await runtime.issuers.verify(token, issuers, config.clock_skew_s)
    if (!result.ok) return result.refusal
    const read = principalFrom(result.payload, { ...result.issuer.claims, tokenType: result.tokenType })
    if (!read.ok) return read.refusal
    const token_ = { principal: read.principal, usedKey: result.usedKey }
    verified.add(token, token_)
    return token_
  }

  /** A token bound to keys is good only with proof of all of them (RFC 9449 7.1, RFC 8705 3). */
  async function checkBinding(
    { confirmation }: Principal,
    token: string,
    scheme: 'bearer' | 'dpop',
    request: HttpRequest,
    port: Port,
  ): Promise<'dpop' | 'certificate' | undefined | Refusal> {
    if (confirmation?.x5tS256 !== undefined && !isBoundTo(confirmation.x5tS256, await port.clientCertificate())) {
      return { why: 'token_binding', because: 'certificate' }
    }
    const jkt = confirmation?.jkt
    if (jkt === undefined) {
      if (scheme === 'dpop') return { why: 'token_binding', because: 'not_bound' }
      if (dpop.mode === 'require') return { why: 'token_binding', because: 'demanded' }
      return confirmation === undefined ? undefined : 'certificate'
    }
    if (scheme === 'bearer') return { why: 'token_binding', because: 'presented_as_bearer' }
    try {
      const proof = await proofs.verify({
        proofs: request.headers.dpop,
        accessToken: token,
        expectedThumbprint: jkt,
        verb: request.verb,
        url: config.resource,
        maxAgeS: dpop.max_age_s,
        algorithms: dpop.algorithms,
        needsNonce: dpop.nonces,
        isFirst: (key, ttlMs) => shared.replay.isFirst(key, ttlMs, jkt),
      })
      if (!proof.ok) return proof.refusal
      if (proof.nextNonce !== undefined) port.setResponseHeader('dpop-nonce', proof.nextNonce)
      return 'dpop'
    } catch (error) {
      // Nobody can say whether the proof was used before: then it was.
      if (error instanceof RedisAway || error instanceof ReplayGuardFull)
        return { why: 'shared_state_away', what: 'replay' }
      throw error
    }
  }
}

/** @throws Error for a reference to a variable that nobody set: nodes would not know each other's nonces */
function nonceKey(secret: string | undefined): Uint8Array {
  if (secret === '') throw new Error('`dpop.nonce_key` is empty: is the variable it refers to set?')
  return secret === undefined ? randomBytes(32) : createHash('sha256').update(secret).digest()
}

/** RFC 6750 2.1 and RFC 9449 7.1: one header, one scheme; a token in the query is never looked at (OAuth 2.1 5.1.2). */
function presentedToken(
  header: string | readonly string[] | undefined,
  takesDpop: boolean,
): { readonly scheme: 'bearer' | 'dpop'; readonly token: string } | Refusal {
  if (header === undefined) return { why: 'token_absent' }
  if (typeof header !== 'string') return { why: 'token_malformed' }
  // Another scheme is no token at all: the challenge names no error then (RFC 6750 3.1).
  if (!(takesDpop ? /^(?:Bearer|DPoP)\b/i : /^Bearer\b/i).test(header)) return { why: 'token_absent' }
  const match = /^(Bearer|DPoP) +([^\s,]+)$/i.exec(header)
  if (!match?.[2]) return { why: 'token_malformed' }
  return { scheme: match[1]?.toLowerCase() === 'dpop' ? 'dpop' : 'bearer', token: match[2] }
}
