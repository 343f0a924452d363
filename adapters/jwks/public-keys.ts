/** A provider's JWKS document, read into keys that can verify: the good ones, or nothing at all. */
import { Buffer } from 'node:buffer'
import { createHash, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { isObject, type JsonObject } from '../../lib/mcp/message.ts'

/**
 * One key.
 *
 * @property id         its `kid`; undefined where the document gives it none
 * @property algorithms what it may verify: its kind's, or the one its `alg` names (RFC 7517 4.4)
 * @property digest     of the public key itself, so that a key under a used name is another key
 */
export interface PublicKey {
  readonly id: string | undefined
  readonly key: KeyObject
  readonly algorithms: readonly string[]
  readonly digest: string
}

const maxKeys = 200
const minRsaBits = 2_048
const minRsaExponent = 65_537n

/** The algorithms of each kind of key (RFC 7518 3.1, RFC 8037 3.1, RFC 9864 2.2). */
const byCurve: Readonly<Record<string, readonly string[]>> = {
  'EC P-256': ['ES256'],
  'EC P-384': ['ES384'],
  'EC P-521': ['ES512'],
  'OKP Ed25519': ['EdDSA', 'Ed25519'],
}
const rsa = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']

/**
 * Reads a JWKS (RFC 7517 5).
 *
 * Keys for something else (encryption, kinds and curves nobody here verifies with) are passed over, as the RFC asks. A
 * document that cannot be trusted is refused as a whole: private or symmetric keys in it, two signing keys of one name,
 * RSA keys under 2048 bits, with an exponent under 65537 or an even one, or of the ROCA kind, a signing key that is none.
 *
 * @throws Error naming what is wrong with the document
 */
export function publicKeysIn(document: JsonObject): readonly PublicKey[] {
  const { keys } = document
  if (!Array.isArray(keys) || keys.length === 0) throw new Error('the JWKS document has no keys')
  if (keys.length > maxKeys) throw new Error(`the JWKS document has more than ${maxKeys} keys`)
  const read: PublicKey[] = []
  for (const jwk of keys as readonly unknown[]) {
    if (!isObject(jwk as JsonObject)) throw new Error('the JWKS document has a key that is no object')
    const key = publicKeyIn(jwk as JsonObject)
    if (!key) continue
    if (key.id !== undefined && read.some(({ id }) => id === key.id))
      throw new Error(`the JWKS document has two keys of the name \`${key.id}\``)
    read.push(key)
  }
  if (read.length === 0) throw new Error('the JWKS document has no key to verify signatures with')
  return read
}

function publicKeyIn(jwk: JsonObject): PublicKey | undefined {
  const { kty, crv, use, key_ops: operations, alg, kid } = jwk
  if (kty === 'oct' || jwk.k !== undefined) throw new Error('the JWKS document has a symmetric key')
  for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth'])
    if (jwk[member] !== undefined) throw new Error('the JWKS document has a private key')
  if (use !== undefined && use !== 'sig') return undefined
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return undefined
  if (kid !== undefined && (typeof kid !== 'string' || kid === '')) throw new Error('a key has a `kid` that is no text')
  const ofItsKind =
    kty === 'RSA' ? rsa : typeof kty === 'string' && typeof crv === 'string' ? byCurve[`${kty} ${crv}`] : undefined
  if (!ofItsKind) return undefined
  const algorithms = alg === undefined ? ofItsKind : ofItsKind.filter((one) => one === alg || isEdwards(one, alg))
  if (algorithms.length === 0) return undefined
  const key = importKey(jwk, kid)
  if (kty === 'RSA') checkRsa(key, kid)
  const digest = createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('base64')
  return { id: kid, key, algorithms, digest }
}

/** `EdDSA` with this curve is `Ed25519` (RFC 9864 2.2). */
const isEdwards = (one: string, alg: unknown): boolean =>
  (one === 'EdDSA' && alg === 'Ed25519') || (one === 'Ed25519' && alg === 'EdDSA')

function importKey(jwk: JsonObject, kid: unknown): KeyObject {
  const members = ['kty', 'crv', 'x', 'y', 'n', 'e'] as const
  const bare: JsonWebKey = {}
  for (const member of members) {
    const value = jwk[member]
    if (value === undefined) continue
    if (typeof value !== 'string' || !/^[A-Za-z0-9_-]+$/.test(value)) throw new Error(badKey(kid))
    bare[member] = value
  }
  try {
    return createPublicKey({ key: bare, format: 'jwk' })
  } catch {
    throw new Error(badKey(kid))
  }
}

function checkRsa(key: KeyObject, kid: unknown): void {
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {}
  if (modulusLength < minRsaBits) throw new Error(`${badKey(kid)}: RSA under ${minRsaBits} bits`)
  if (publicExponent < minRsaExponent || publicExponent % 2n === 0n)
    throw new Error(`${badKey(kid)}: RSA exponent ${publicExponent}`)
  if (isOfRocaKind(key)) throw new Error(`${badKey(kid)}: RSA of a kind that can be factored (CVE-2017-15361)`)
}

/** Odd primes modulo which not every number is a power of 65537, and the powers. */
const powersOf65537 = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157].map((prime) => {
  const powers = new Set<number>()
  for (let power = 1; !powers.has(power); power = (power * (65_537 % prime)) % prime) powers.add(power)
  return { prime: BigInt(prime), powers }
})

/**
 * Does a modulus have the trace of Infineon's faulty key generator (Nemec et al., The Return of Coppersmith's Attack, 2017)?
 * Its primes are powers of 65537 modulo all small primes, and so are their products; of other moduli one in 2^27 is.
 */
function isOfRocaKind(key: KeyObject): boolean {
  const { n = '' } = key.export({ format: 'jwk' })
  const modulus = BigInt(`0x${Buffer.from(n, 'base64url').toString('hex')}`)
  return powersOf65537.every(({ prime, powers }) => powers.has(Number(modulus % prime)))
}

const badKey = (kid: unknown): string => `the JWKS document has a bad key (${typeof kid === 'string' ? kid : 'no kid'})`
