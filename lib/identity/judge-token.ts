/** What is wrong with a token's header, audience and times: everything but its signature. */
import type { Claims } from './claims.ts'
import type { TokenType } from './profiles/profile.ts'

/** A key or its address in the token itself, and extensions: nothing the suite would use, and no honest provider sends. */
const notAccepted = ['jku', 'jwk', 'x5u', 'x5c', 'crit', 'b64'] as const

/**
 * Is a token's header one an issuer's access tokens have? Nothing is fetched to find out.
 *
 * @returns the member at fault, or undefined
 */
export function headerFault(
  header: Claims,
  algorithms: readonly string[],
  types: readonly TokenType[],
): 'alg' | 'typ' | 'kid' | (typeof notAccepted)[number] | undefined {
  const { alg, typ, kid } = header
  if (typeof alg !== 'string' || !algorithms.includes(alg)) return 'alg'
  const carrier = notAccepted.find((name) => header[name] !== undefined)
  if (carrier !== undefined) return carrier
  if (kid !== undefined && (typeof kid !== 'string' || kid === '' || kid.length > 256)) return 'kid'
  if (typ === undefined) return types.includes('absent') ? undefined : 'typ'
  const type = tokenTypeOf(header)
  return type !== undefined && type !== 'absent' && (types as readonly string[]).includes(type) ? undefined : 'typ'
}

/** A header's `typ`, lower case and without `application/` (RFC 7515 4.1.9); undefined where it has none. */
export const tokenTypeOf = ({ typ }: Claims): string | undefined =>
  typeof typ === 'string' ? typ.toLowerCase().replace(/^application\//, '') : undefined

/**
 * Is a token for one of these audiences, and for nobody else?
 *
 * A token that is also good elsewhere can be replayed from there: audiences beside the own ones must be named.
 *
 * @param accepted   at least one of them must be in `aud`, compared as strings
 * @param companions audiences that may stand beside
 */
export function isAudience(aud: unknown, accepted: readonly string[], companions: readonly string[]): boolean {
  const audiences = typeof aud === 'string' ? [aud] : aud
  if (!Array.isArray(audiences) || audiences.length === 0) return false
  return (
    audiences.every((one) => typeof one === 'string' && (accepted.includes(one) || companions.includes(one))) &&
    audiences.some((one) => accepted.includes(one as string))
  )
}

// 31 December 9999: later than any clock, sooner than where doubles lose seconds.
const latestS = 253_402_300_799

/**
 * Is a token good at this instant? From `nbf - skew` up to, but not including, `exp + skew` (RFC 7519 4.1.4, 4.1.5), and
 * not issued in the future. Fractions of a second are numbers like any other (RFC 7519 2).
 *
 * @param skewS tolerated clock difference in seconds
 * @returns the claim at fault; `exp` must be there, `nbf` and `iat` may be absent
 */
export function timeFault(payload: Claims, nowS: number, skewS: number): 'exp' | 'nbf' | 'iat' | undefined {
  const { exp, nbf, iat } = payload
  if (!isInstant(exp) || nowS >= exp + skewS) return 'exp'
  if (nbf !== undefined && (!isInstant(nbf) || nowS < nbf - skewS)) return 'nbf'
  if (iat !== undefined && (!isInstant(iat) || nowS < iat - skewS)) return 'iat'
  return undefined
}

const isInstant = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 && value <= latestS
