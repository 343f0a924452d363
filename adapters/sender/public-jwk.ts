/** The key in a proof: is it a public key, of the kind its algorithm needs, and which one is it? */
import { createHash } from 'node:crypto'
import { isObject, type Json, type JsonObject } from '../../lib/mcp/message.ts'
import { isCanonical } from './read-proof.ts'

/**
 * @property jwk        the members that make the key, and no others
 * @property thumbprint RFC 7638 with SHA-256, in base64url: what a token's `cnf.jkt` says (RFC 9449 6.1)
 */
export interface PublicKey {
  readonly jwk: Readonly<Record<string, string>> & { readonly kty: string }
  readonly thumbprint: string
}

type KeyKind =
  | { readonly kty: 'EC'; readonly crv: string; readonly bytes: number }
  | { readonly kty: 'OKP'; readonly crv: string; readonly bytes: number }
  | { readonly kty: 'RSA' }

const ed25519: KeyKind = { kty: 'OKP', crv: 'Ed25519', bytes: 32 }
const rsa: KeyKind = { kty: 'RSA' }

/** The signature algorithms there are for proofs (RFC 7518 3.1, RFC 8037, RFC 9864), and the key each one needs. */
const kinds: ReadonlyMap<string, KeyKind> = new Map<string, KeyKind>([
  ['ES256', { kty: 'EC', crv: 'P-256', bytes: 32 }],
  ['ES384', { kty: 'EC', crv: 'P-384', bytes: 48 }],
  ['ES512', { kty: 'EC', crv: 'P-521', bytes: 66 }],
  ['EdDSA', ed25519],
  ['Ed25519', ed25519],
  ['PS256', rsa],
  ['PS384', rsa],
  ['PS512', rsa],
  ['RS256', rsa],
  ['RS384', rsa],
  ['RS512', rsa],
])

/** Whether proofs may be signed with an algorithm at all: asymmetric, and known here (RFC 9449 4.3, check 5). */
export const isProofAlgorithm = (alg: string): boolean => kinds.has(alg)

/** Members of private and symmetric keys (RFC 7518 6.2.2, 6.3.2, 6.4; RFC 8037 2; `priv`: RFC 9964). */
const secretMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'] as const

const minRsaBits = 2048
// Signatures of larger ones take long to check, and nobody has them.
const maxRsaBits = 8192
const minExponent = 65537n
const maxExponentBytes = 8

/**
 * Reads the `jwk` of a proof's header.
 *
 * Only one spelling of a key is taken (base64url without freedom, fields of the length RFC 7518 6.2.1 and 6.3.1
 * prescribe), so that one key has one thumbprint. `alg`, `use` and `key_ops` need not be there, but must not contradict.
 *
 * @param alg the header's `alg`
 * @returns undefined for anything but a public key of the kind that `alg` needs. RSA: 2048 to 8192 bits, exponent odd, from
 *          65537 (NIST SP 800-56B 6.2) and at most 64 bits
 */
export function readPublicJwk(given: Json | undefined, alg: string): PublicKey | undefined {
  const kind = kinds.get(alg)
  if (!kind || !isObject(given)) return undefined
  if (given.kty !== kind.kty || secretMembers.some((name) => given[name] !== undefined)) return undefined
  if (given.alg !== undefined && given.alg !== alg) return undefined
  if (given.use !== undefined && given.use !== 'sig') return undefined
  if (given.key_ops !== undefined && !(Array.isArray(given.key_ops) && given.key_ops.includes('verify')))
    return undefined
  const jwk = membersFor(kind, given)
  return jwk && { jwk, thumbprint: sha256(JSON.stringify(jwk)) }
}

/** The required members, in the order RFC 7638 3.2 hashes them. */
function membersFor(kind: KeyKind, given: JsonObject): PublicKey['jwk'] | undefined {
  switch (kind.kty) {
    case 'EC': {
      const [x, y] = [fieldOf(given.x, kind.bytes), fieldOf(given.y, kind.bytes)]
      if (given.crv !== kind.crv || !x || !y) return undefined
      return { crv: kind.crv, kty: kind.kty, x: x.text, y: y.text }
    }
    case 'OKP': {
      const x = fieldOf(given.x, kind.bytes)
      return given.crv === kind.crv && x ? { crv: kind.crv, kty: kind.kty, x: x.text } : undefined
    }
    case 'RSA': {
      const [e, n] = [fieldOf(given.e), fieldOf(given.n)]
      return e && n && isExponent(e.bytes) && isModulus(n.bytes) ? { e: e.text, kty: 'RSA', n: n.text } : undefined
    }
  }
}

/** A number of a key, as it is spelled and as bytes. @param length in bytes, where it is fixed */
function fieldOf(value: Json | undefined, length?: number): { text: string; bytes: Buffer } | undefined {
  if (typeof value !== 'string' || !isCanonical(value)) return undefined
  const bytes = Buffer.from(value, 'base64url')
  return length === undefined || bytes.length === length ? { text: value, bytes } : undefined
}

function isModulus(bytes: Buffer): boolean {
  const first = bytes[0] ?? 0
  // RFC 7518 2 (Base64urlUInt): the fewest bytes, no leading zero.
  const bits = first === 0 ? 0 : bytes.length * 8 - (Math.clz32(first) - 24)
  return bits >= minRsaBits && bits <= maxRsaBits
}

function isExponent(bytes: Buffer): boolean {
  if (bytes.length === 0 || bytes.length > maxExponentBytes || bytes[0] === 0) return false
  const exponent = BigInt(`0x${bytes.toString('hex')}`)
  return exponent >= minExponent && exponent % 2n === 1n
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('base64url')
