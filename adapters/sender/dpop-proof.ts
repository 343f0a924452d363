/** Does the caller hold the key its access token is bound to? DPoP proofs at a protected resource (RFC 9449 4.3 and 7). */
import { createHash } from 'node:crypto'
import { compactVerify, type CryptoKey, errors } from 'jose'
import type { JsonObject } from '../../lib/mcp/message.ts'
import type { Clock } from '../clock.ts'
import type { DpopNonces } from './dpop-nonces.ts'
import { normalUri } from './normal-uri.ts'
import { ProofKeys } from './proof-keys.ts'
import { isProofAlgorithm, readPublicJwk } from './public-jwk.ts'
import { type ReadingFault, readProof } from './read-proof.ts'

/** What is wrong with a proof: how it reads, the claim or header member, `jkt` (another key than the token's) or `signature`. */
export type ProofFault =
  | ReadingFault
  | 'typ'
  | 'alg'
  | 'jwk'
  | 'jti'
  | 'htm'
  | 'htu'
  | 'iat'
  | 'nbf'
  | 'exp'
  | 'ath'
  | 'nonce'
  | 'cnf'
  | 'jkt'
  | 'signature'

/** Why a caller is not taken for the holder of the key. @property nonce to be put into the next proof (DPoP-Nonce) */
export type ProofRefusal =
  | { readonly why: 'proof_absent' }
  | { readonly why: 'proof_not_accepted'; readonly because: ProofFault }
  | { readonly why: 'proof_nonce_needed'; readonly nonce: string }
  | { readonly why: 'proof_replayed' }

/**
 * @property proofs             the DPoP header as Kong hands it over: a list where there are several fields
 * @property accessToken        the token of the Authorization header
 * @property expectedThumbprint the token's `cnf.jkt`, verified. A token without one is bound to no key: no proof fits it
 * @property verb               the request's method
 * @property url                the public URL of this resource; its query and fragment do not count
 * @property maxAgeS            how far `iat` may be from this node's time, either way, in seconds; inclusive
 * @property algorithms         signature algorithms accepted (RFC 7518 3.1); of them only asymmetric ones count
 * @property needsNonce         whether a proof without a nonce is sent back for one
 * @property isFirst            remembers a key for so many milliseconds; false for one that it remembers already. Shared by
 *                              every node. The key is 43 characters of base64url
 */
export interface ProofInput {
  readonly proofs: string | readonly string[] | undefined
  readonly accessToken: string
  readonly expectedThumbprint: string | undefined
  readonly verb: string
  readonly url: string
  readonly maxAgeS: number
  readonly algorithms: readonly string[]
  readonly needsNonce: boolean
  readonly isFirst: (key: string, ttlMs: number) => Promise<boolean>
}

/**
 * @property thumbprint of the key the caller holds (RFC 7638)
 * @property nextNonce  to be handed over with the answer, when the proof's nonce is about to end (RFC 9449 8.2)
 */
export type ProofVerdict =
  | { readonly ok: true; readonly thumbprint: string; readonly nextNonce?: string }
  | { readonly ok: false; readonly refusal: ProofRefusal }

/** Nodes of one cluster may differ by this: what one has forgotten, another must not accept. */
const nodeSkewMs = 5_000
const maxIdLength = 256

/** A second key or address, or other rules for the signature: a proof has its key in `jwk` and nowhere else. */
const forbiddenHeaders = ['jku', 'x5u', 'x5c', 'crit', 'b64'] as const

export class ProofVerifier {
  readonly #clock: Clock
  readonly #nonces: DpopNonces
  readonly #keys = new ProofKeys()

  constructor(clock: Clock, nonces: DpopNonces) {
    this.#clock = clock
    this.#nonces = nonces
  }

  /**
   * Verifies a proof, cheap checks first; only a proof that is right in everything else is remembered.
   *
   * @throws TypeError when `url` is no `http` or `https` URI. @throws whatever `isFirst` throws: then nothing is decided,
   *         and the request must not go on
   */
  async verify(input: ProofInput): Promise<ProofVerdict> {
    const { proofs } = input
    if (proofs === undefined || proofs.length === 0) {
      return proofs === '' ? notAccepted('spelling') : { ok: false, refusal: { why: 'proof_absent' } }
    }
    const reading = readProof(proofs)
    if (!reading.ok) return notAccepted(reading.fault)
    const { compact, header, claims } = reading.proof
    // RFC 9449 4.3, check 4, names one value. RFC 7515 4.1.9 would let `DPoP+JWT` and `application/dpop+jwt` mean the same;
    // no client writes them, and RFC 8725 3.11 wants types told apart for certain.
    if (header.typ !== 'dpop+jwt') return notAccepted('typ')
    const { alg } = header
    if (typeof alg !== 'string' || !input.algorithms.includes(alg) || !isProofAlgorithm(alg)) return notAccepted('alg')
    if (forbiddenHeaders.some((name) => header[name] !== undefined)) return notAccepted('header')
    const publicKey = readPublicJwk(header.jwk, alg)
    if (!publicKey) return notAccepted('jwk')
    const fault = faultOf(claims, input, this.#clock.nowMs())
    if (fault) return notAccepted(fault)
    // RFC 9449 4.3, check 12, and 7.1: no access unless the token is bound to this very key. Before the key is used: keys
    // that no token is bound to are not worth a place among the ones kept.
    if (input.expectedThumbprint === undefined) return notAccepted('cnf')
    if (publicKey.thumbprint !== input.expectedThumbprint) return notAccepted('jkt')
    const key = await this.#keys.get(publicKey, alg)
    if (!key) return notAccepted('jwk')
    if (!(await isSigned(compact, key, alg))) return notAccepted('signature')

    const nonce = typeof claims.nonce === 'string' ? this.#nonces.isCurrent(claims.nonce) : 'none'
    // A wrong nonce is refused where none is needed, too. RFC 9449 4.3, check 10, is for every nonce that was handed out,
    // and clients keep one per origin (8.2), so other resources of this host may have handed it out; RFC 9449 8 gives a
    // mismatch the same answer, with which the client comes back at once.
    if (nonce === 'no' || (nonce === 'none' && input.needsNonce)) {
      return { ok: false, refusal: { why: 'proof_nonce_needed', nonce: this.#nonces.current() } }
    }
    const goodUntilMs = ((claims.iat as number) + input.maxAgeS) * 1000
    const ttlMs = Math.ceil(goodUntilMs - this.#clock.nowMs()) + nodeSkewMs
    const name = digest(JSON.stringify([publicKey.thumbprint, claims.jti, normalUri(input.url)]))
    if (!(await input.isFirst(name, ttlMs))) return { ok: false, refusal: { why: 'proof_replayed' } }
    const { thumbprint } = publicKey
    return nonce === 'previous' ? { ok: true, thumbprint, nextNonce: this.#nonces.current() } : { ok: true, thumbprint }
  }
}

/** The first claim that does not fit the request; undefined when all do. */
function faultOf(claims: JsonObject, input: ProofInput, nowMs: number): ProofFault | undefined {
  const { jti, htm, htu, iat, nbf, exp, ath, nonce } = claims
  const expectedUri = normalUri(input.url)
  if (expectedUri === undefined) throw new TypeError('the URL of a resource must be an http or https URI')
  if (typeof jti !== 'string' || jti.length === 0 || jti.length > maxIdLength) return 'jti'
  // Methods are case-sensitive (RFC 9110 9.1).
  if (htm !== input.verb) return 'htm'
  if (typeof htu !== 'string' || normalUri(htu) !== expectedUri) return 'htu'
  // The MCP profile's window is as wide forwards as it is back, and RFC 9449 11.1 allows for clocks that are ahead.
  const nowS = nowMs / 1000
  if (typeof iat !== 'number' || !(Math.abs(nowS - iat) <= input.maxAgeS)) return 'iat'
  // Not part of a proof, but whoever writes them means them (RFC 7519 4.1.4 and 4.1.5).
  if (nbf !== undefined && !(typeof nbf === 'number' && nowS + input.maxAgeS >= nbf)) return 'nbf'
  if (exp !== undefined && !(typeof exp === 'number' && nowS < exp)) return 'exp'
  if (ath !== digest(input.accessToken)) return 'ath'
  if (nonce !== undefined && (typeof nonce !== 'string' || nonce.length > maxIdLength)) return 'nonce'
  return undefined
}

async function isSigned(compact: string, key: CryptoKey, alg: string): Promise<boolean> {
  try {
    await compactVerify(compact, key, { algorithms: [alg] })
    return true
  } catch (error) {
    if (error instanceof errors.JOSEError) return false
    throw error
  }
}

const digest = (text: string): string => createHash('sha256').update(text).digest('base64url')

const notAccepted = (because: ProofFault): ProofVerdict => ({
  ok: false,
  refusal: { why: 'proof_not_accepted', because },
})
