/** Is a token signed with one of these keys? */
import { compactVerify } from 'jose'
import type { PublicKey } from './public-keys.ts'

/**
 * The one key a token's header can mean.
 *
 * @param kid undefined: the header names none, and the one key there is for the algorithm is meant
 * @returns undefined for none, and for several: nobody tries keys in turn
 */
export function keyFor(keys: readonly PublicKey[], kid: string | undefined, alg: string): PublicKey | undefined {
  const fitting = keys.filter(({ id, algorithms }) => (kid === undefined || id === kid) && algorithms.includes(alg))
  return fitting.length === 1 ? fitting[0] : undefined
}

/**
 * Did this key sign this token (RFC 7515 5.2)?
 *
 * @param token a compact JWS of one spelling: see readJws. jose would also take white space and padding
 * @param alg   as in its header, which the caller has judged: nothing else is tried
 */
export async function isSigned(token: string, { key, algorithms }: PublicKey, alg: string): Promise<boolean> {
  if (!algorithms.includes(alg)) return false
  try {
    await compactVerify(token, key, { algorithms: [alg] })
    return true
  } catch {
    // Whatever jose has against it: a bad signature, or a key that does not fit the algorithm.
    return false
  }
}
