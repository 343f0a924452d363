import { Buffer } from 'node:buffer'
import { createPublicKey, generateKeyPairSync, generatePrimeSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { publicKeysIn } from '../../../../adapters/jwks/public-keys.ts'
import type { JsonObject } from '../../../../lib/mcp/message.ts'

const exported = (key: { export(options: { format: 'jwk' }): unknown }): JsonObject =>
  key.export({ format: 'jwk' }) as JsonObject

const rsaPair = generateKeyPairSync('rsa', { modulusLength: 2048 })
const rsa = exported(rsaPair.publicKey)
const ecPair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const ec = exported(ecPair.publicKey)
const ec384 = exported(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey)
const ec521 = exported(generateKeyPairSync('ec', { namedCurve: 'P-521' }).publicKey)
const secp256k1 = exported(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey)
const ed25519 = exported(generateKeyPairSync('ed25519').publicKey)
const x25519 = exported(generateKeyPairSync('x25519').publicKey)
const good: JsonObject = { ...ec, kid: 'good' }

const bytes = (value: bigint): string => {
  const hex = value.toString(16)
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex').toString('base64url')
}
const anRsaOf = (bits: number): JsonObject => exported(generateKeyPairSync('rsa', { modulusLength: bits }).publicKey)

/** The ids and algorithms of what is read. */
const read = (...keys: unknown[]): (readonly [string | undefined, readonly string[]])[] =>
  publicKeysIn({ keys } as JsonObject).map(({ id, algorithms }) => [id, algorithms] as const)
const fault = (document: unknown): string => {
  try {
    publicKeysIn(document as JsonObject)
    return 'read'
  } catch (error) {
    return (error as Error).message
  }
}

const allRsa = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']

describe('a key for signatures', () => {
  it.each<[note: string, jwk: JsonObject, algorithms: readonly string[]]>([
    ['RSA, for all its algorithms', rsa, allRsa],
    ['RSA, for the one it names', { ...rsa, alg: 'PS256' }, ['PS256']],
    ['P-256', ec, ['ES256']],
    ['P-384', ec384, ['ES384']],
    ['P-521', ec521, ['ES512']],
    ['Ed25519, under both its names', ed25519, ['EdDSA', 'Ed25519']],
    ['Ed25519 named EdDSA', { ...ed25519, alg: 'EdDSA' }, ['EdDSA', 'Ed25519']],
    ['Ed25519 named Ed25519', { ...ed25519, alg: 'Ed25519' }, ['EdDSA', 'Ed25519']],
    ['of the use sig', { ...ec, use: 'sig' }, ['ES256']],
    ['for verifying, and something else', { ...ec, key_ops: ['verify', 'wrapKey'] }, ['ES256']],
    ['with a certificate, which nobody looks at', { ...ec, x5c: ['bm8gY2VydGlmaWNhdGU='], x5t: 'x' }, ['ES256']],
  ])('is read: %s', (_note, jwk, algorithms) => {
    expect(read({ ...jwk, kid: 'k' })).toEqual([['k', algorithms]])
  })

  it('needs no name', () => {
    expect(read(ec)).toEqual([[undefined, ['ES256']]])
    expect(read(ec, ed25519)).toHaveLength(2)
  })

  it('has the digest of what it is: not of its name, nor of what it is for', () => {
    const digestOf = (jwk: JsonObject): string => publicKeysIn({ keys: [jwk] })[0]?.digest ?? ''
    expect(digestOf({ ...ec, kid: 'a' })).toBe(digestOf({ ...ec, kid: 'b', use: 'sig', alg: 'ES256' }))
    expect(digestOf({ ...ec, kid: 'a' })).not.toBe(digestOf({ ...ec384, kid: 'a' }))
  })

  it('is taken from its public members only', () => {
    const [key] = publicKeysIn({ keys: [good] })
    expect(key?.key.type).toBe('public')
    expect(key?.key.equals(ecPair.publicKey)).toBe(true)
  })
})

describe('T40 passed over, with the good key still read', () => {
  it.each<[note: string, jwk: unknown]>([
    // As Keycloak has it beside each realm's signing key.
    ['a key for encryption', { ...rsa, kid: 'enc', use: 'enc', alg: 'RSA-OAEP' }],
    ['a key for encryption of the same name', { ...rsa, kid: 'good', use: 'enc', alg: 'RSA-OAEP' }],
    ['a key for encryption that is weak', { ...anRsaOf(1024), kid: 'enc', use: 'enc' }],
    ['a key whose algorithm is for encryption', { ...rsa, kid: 'enc', alg: 'RSA-OAEP-256' }],
    ['a key whose operations are others', { ...rsa, kid: 'ops', key_ops: ['wrapKey'] }],
    ['a key without any operation', { ...rsa, kid: 'ops', key_ops: [] }],
    ['a key whose operations are a word', { ...rsa, kid: 'ops', key_ops: 'verify' }],
    ['a key of a use nobody knows', { ...rsa, kid: 'use', use: 'tls' }],
    ['a kind nobody knows', { kty: 'AKP', alg: 'ML-DSA-44', pub: 'AAAA', kid: 'pq' }],
    ['a kind that is no text', { ...ec, kty: ['EC'], kid: 'kty' }],
    ['no kind', { kid: 'none' }],
    ['a curve nobody verifies with', { ...secp256k1, kid: 'k1' }],
    ['a curve for key agreement', { ...x25519, kid: 'x' }],
    ['an elliptic curve key for RSA', { ...ec, kid: 'alg', alg: 'RS256' }],
    ['an RSA key for an elliptic curve', { ...rsa, kid: 'alg', alg: 'ES256' }],
    ['P-256 for ES384', { ...ec, kid: 'alg', alg: 'ES384' }],
    ['a public key for HS256', { ...rsa, kid: 'alg', alg: 'HS256' }],
    ['a public key for none', { ...rsa, kid: 'alg', alg: 'none' }],
    ['an algorithm in another case', { ...rsa, kid: 'alg', alg: 'rs256' }],
    ['an algorithm that is no text', { ...rsa, kid: 'alg', alg: ['RS256'] }],
  ])('%s', (_note, jwk) => {
    expect(read(jwk, good)).toEqual([['good', ['ES256']]])
    // Alone it is no document to verify with.
    expect(fault({ keys: [jwk] })).toBe('the JWKS document has no key to verify signatures with')
  })
})

/** The product of two primes that are powers of 65537 modulo 11, 13, 17 … 157, as the faulty generator made them. */
function rocaModulus(): bigint {
  const small = [
    2n, 3n, 5n, 7n, 11n, 13n, 17n, 19n, 23n, 29n, 31n, 37n, 41n, 43n, 47n, 53n, 59n, 61n, 67n, 71n, 73n, 79n, 83n, 89n,
    97n, 101n, 103n, 107n, 109n, 113n, 127n, 131n, 137n, 139n, 149n, 151n, 157n, 163n, 167n,
  ] // prettier-ignore
  const product = small.reduce((a, b) => a * b)
  const half = (power: bigint): bigint => {
    const rem = modPow(65_537n, power, product)
    return generatePrimeSync(1032, { add: product, rem, bigint: true })
  }
  return half(1_234_567n) * half(7_654_321n)
}
function modPow(base: bigint, power: bigint, modulus: bigint): bigint {
  let [result, square] = [1n, base % modulus]
  for (let rest = power; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % modulus
    square = (square * square) % modulus
  }
  return result
}

const flipped = (value: unknown): string => {
  const point = Buffer.from(value as string, 'base64url')
  point[10] = (point[10] ?? 0) ^ 1
  return point.toString('base64url')
}

const hasPrivate = 'the JWKS document has a private key'
const hasSymmetric = 'the JWKS document has a symmetric key'
const isBad = 'the JWKS document has a bad key (bad)'
const noKeys = 'the JWKS document has no keys'

describe('T40 refused as a whole, a good key in it or not', () => {
  it.each<[note: string, jwk: unknown, fault: string]>([
    ['a private EC key', { ...exported(ecPair.privateKey), kid: 'bad' }, hasPrivate],
    ['a private RSA key', { ...exported(rsaPair.privateKey), kid: 'bad' }, hasPrivate],
    ...['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth'].map((member): [string, unknown, string] => [
      `a key with the private member ${member} alone`,
      { ...rsa, kid: 'bad', [member]: 'AAAA' },
      hasPrivate,
    ]),
    ['a private key for encryption', { ...exported(ecPair.privateKey), kid: 'bad', use: 'enc' }, hasPrivate],
    ['a private key of a kind nobody knows', { kty: 'AKP', d: 'AAAA', kid: 'bad' }, hasPrivate],
    ['a symmetric key', { kty: 'oct', k: 'c2VjcmV0', kid: 'bad' }, hasSymmetric],
    ['a symmetric key without its value', { kty: 'oct', kid: 'bad' }, hasSymmetric],
    ['a symmetric value in another key', { ...ec, k: 'c2VjcmV0', kid: 'bad' }, hasSymmetric],
    ['a second key of one name', { ...rsa, kid: 'good' }, 'the JWKS document has two keys of the name `good`'],
    ['the same key twice', good, 'the JWKS document has two keys of the name `good`'],
    ['RSA of 1024 bits', { ...anRsaOf(1024), kid: 'bad' }, `${isBad}: RSA under 2048 bits`],
    ['RSA of 2047 bits', { ...anRsaOf(2047), kid: 'bad' }, `${isBad}: RSA under 2048 bits`],
    ['RSA with the exponent 1', { ...rsa, e: 'AQ', kid: 'bad' }, `${isBad}: RSA exponent 1`],
    ['RSA with the exponent 3', { ...rsa, e: 'Aw', kid: 'bad' }, `${isBad}: RSA exponent 3`],
    ['RSA with the exponent 65535', { ...rsa, e: '__8', kid: 'bad' }, `${isBad}: RSA exponent 65535`],
    ['RSA with an even exponent', { ...rsa, e: 'AQAC', kid: 'bad' }, `${isBad}: RSA exponent 65538`],
    ['RSA without an exponent', { kty: 'RSA', n: rsa.n, kid: 'bad' }, isBad],
    ['RSA without a modulus', { kty: 'RSA', e: rsa.e, kid: 'bad' }, isBad],
    [
      'RSA of the kind that can be factored',
      { kty: 'RSA', n: bytes(rocaModulus()), e: 'AQAB', kid: 'bad' },
      `${isBad}: RSA of a kind that can be factored (CVE-2017-15361)`,
    ],
    ['a point that is not on its curve', { ...ec, y: flipped(ec.y), kid: 'bad' }, isBad],
    ['a point of another curve', { ...ec, x: ec384.x, y: ec384.y, kid: 'bad' }, isBad],
    ['the point at zero', { ...ec, x: bytes(0n).padEnd(43, 'A'), y: bytes(0n).padEnd(43, 'A'), kid: 'bad' }, isBad],
    ['a point without y', { kty: 'EC', crv: 'P-256', x: ec.x, kid: 'bad' }, isBad],
    ['an Ed25519 key that is too short', { ...ed25519, x: 'AAAA', kid: 'bad' }, isBad],
    ['a member with padding', { ...ec, x: `${ec.x as string}=`, kid: 'bad' }, isBad],
    ['a member in the other base64', { ...ec, x: `+${(ec.x as string).slice(1)}`, kid: 'bad' }, isBad],
    ['a member that is a number', { ...rsa, e: 65_537, kid: 'bad' }, isBad],
    ['a bad key without a name', { ...ec, x: '' }, 'the JWKS document has a bad key (no kid)'],
    ['a name that is a number', { ...rsa, kid: 7 }, 'a key has a `kid` that is no text'],
    ['a name that is empty', { ...rsa, kid: '' }, 'a key has a `kid` that is no text'],
    ['a name that is null', { ...rsa, kid: null }, 'a key has a `kid` that is no text'],
    ['a key that is a text', 'key', 'the JWKS document has a key that is no object'],
    ['a key that is a list', [ec], 'the JWKS document has a key that is no object'],
    ['a key that is null', null, 'the JWKS document has a key that is no object'],
  ])('%s', (_note, jwk, expected) => {
    expect(fault({ keys: [good, jwk] })).toBe(expected)
  })

  it.each<[note: string, document: unknown, fault: string]>([
    ['no member `keys`', {}, noKeys],
    ['no keys', { keys: [] }, noKeys],
    ['keys that are an object', { keys: good }, noKeys],
    ['a single key in place of a set', good, noKeys],
    ['more keys than anybody has', { keys: Array(201).fill(ec) }, 'the JWKS document has more than 200 keys'],
  ])('a document with %s', (_note, document, expected) => {
    expect(fault(document)).toBe(expected)
  })

  it('but not for the nearest that is good', () => {
    expect(fault({ keys: [good, { ...anRsaOf(2048), kid: 'other' }] })).toBe('read')
    expect(fault({ keys: Array(200).fill(ec) })).toBe('read')
    expect(fault({ keys: [good, { ...ed25519, kid: 'Good' }] })).toBe('read')
    // An exponent above the usual one is odd, but not bad.
    expect(fault({ keys: [{ ...rsa, e: 'AQAD', kid: 'other' }] })).toBe('read')
  })

  it('and the RSA key of the faulty kind is one to everybody else', () => {
    expect(createPublicKey({ key: { kty: 'RSA', n: bytes(rocaModulus()), e: 'AQAB' }, format: 'jwk' }).type).toBe(
      'public',
    )
  })
})
