import { generateKeyPairSync } from 'node:crypto'
import { calculateJwkThumbprint, type JWK } from 'jose'
import { describe, expect, it } from 'vitest'
import { ProofKeys } from '../../../../adapters/sender/proof-keys.ts'
import { isProofAlgorithm, type PublicKey, readPublicJwk } from '../../../../adapters/sender/public-jwk.ts'
import type { Json } from '../../../../lib/mcp/message.ts'

const ec = (namedCurve: string): JWK => generateKeyPairSync('ec', { namedCurve }).publicKey.export({ format: 'jwk' })
const rsa = (modulusLength: number, publicExponent = 65537): JWK =>
  generateKeyPairSync('rsa', { modulusLength, publicExponent }).publicKey.export({ format: 'jwk' })
const okp = (): JWK => generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })

const p256 = ec('P-256')
const rsa2048 = rsa(2048)
const ed25519 = okp()

describe('a public key of the kind its algorithm needs', () => {
  it.each([
    { alg: 'ES256', jwk: p256 },
    { alg: 'ES384', jwk: ec('P-384') },
    { alg: 'ES512', jwk: ec('P-521') },
    { alg: 'EdDSA', jwk: ed25519 },
    { alg: 'Ed25519', jwk: ed25519 },
    { alg: 'RS256', jwk: rsa2048 },
    { alg: 'PS512', jwk: rsa2048 },
  ])('is read for $alg, with the thumbprint of RFC 7638', async ({ alg, jwk }) => {
    const key = readPublicJwk(jwk, alg)
    expect(key?.thumbprint).toBe(await calculateJwkThumbprint(jwk))
    expect(key?.jwk).toEqual(jwk)
  })

  it('has the thumbprint of the example in RFC 7638 3.1', () => {
    const n =
      '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj' +
      'hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ' +
      'vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK' +
      'nqDKgw'
    const jwk = { kty: 'RSA', n, e: 'AQAB', alg: 'RS256', kid: '2011-04-29' }
    expect(readPublicJwk(jwk, 'RS256')?.thumbprint).toBe('NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs')
  })

  it.each([
    { note: 'members that only say more', more: { kid: 'a', ext: true, x: p256.x ?? '' } },
    { note: 'its own algorithm', more: { alg: 'ES256' } },
    { note: 'the use of signatures', more: { use: 'sig' } },
    { note: 'the operation of verifying', more: { key_ops: ['verify'] } },
  ])('may have $note, which is not the key', ({ more }) => {
    const key = readPublicJwk({ ...p256, ...more }, 'ES256')
    expect(Object.keys(key?.jwk ?? {})).toEqual(['crv', 'kty', 'x', 'y'])
  })
})

/** A character that decoders take for the same, since they ignore the last bits of 32 bytes. */
const respelled = (text: string): string =>
  text.slice(0, -1) + String.fromCharCode(text.charCodeAt(text.length - 1) + 1)
const leadingZero = (text: string): string =>
  Buffer.concat([Buffer.alloc(1), Buffer.from(text, 'base64url')]).toString('base64url')
const zeros = (count: number): number[] => Array<number>(count).fill(0)
const ones = (count: number): number[] => Array<number>(count).fill(0xff)
const base64url = (...bytes: number[]): string => Buffer.from(bytes).toString('base64url')

describe('anything else', () => {
  it.each([
    { note: 'no key', jwk: undefined, alg: 'ES256' },
    { note: 'null', jwk: null, alg: 'ES256' },
    { note: 'a string', jwk: 'key', alg: 'ES256' },
    { note: 'a list of keys', jwk: [p256], alg: 'ES256' },
    { note: 'another type of key', jwk: rsa2048, alg: 'ES256' },
    { note: 'another type of key, the other way round', jwk: p256, alg: 'RS256' },
    { note: 'another curve', jwk: ec('P-384'), alg: 'ES256' },
    { note: 'another curve by name only', jwk: { ...p256, crv: 'P-384' }, alg: 'ES384' },
    { note: 'the curve that is not for signatures', jwk: { ...ed25519, crv: 'X25519' }, alg: 'EdDSA' },
    { note: 'a secp256k1 key', jwk: ec('secp256k1'), alg: 'ES256' },
    { note: 'a symmetric key', jwk: { kty: 'oct', k: 'c2VjcmV0' }, alg: 'HS256' },
    { note: 'a symmetric member', jwk: { ...p256, k: 'c2VjcmV0' }, alg: 'ES256' },
    { note: 'a private key', jwk: { ...p256, d: p256.x }, alg: 'ES256' },
    { note: 'an empty private member', jwk: { ...p256, d: '' }, alg: 'ES256' },
    { note: 'a private member that is null', jwk: { ...p256, d: null }, alg: 'ES256' },
    { note: 'a prime of an RSA key', jwk: { ...rsa2048, p: 'AQAB' }, alg: 'RS256' },
    { note: 'the private member of post-quantum keys', jwk: { ...ed25519, priv: 'AQAB' }, alg: 'EdDSA' },
    { note: 'another algorithm in the key', jwk: { ...p256, alg: 'ES384' }, alg: 'ES256' },
    { note: 'a key for encryption', jwk: { ...p256, use: 'enc' }, alg: 'ES256' },
    { note: 'a key for signing', jwk: { ...p256, key_ops: ['sign'] }, alg: 'ES256' },
    { note: 'operations that are no list', jwk: { ...p256, key_ops: 'verify' }, alg: 'ES256' },
    { note: 'no y', jwk: { ...p256, y: undefined }, alg: 'ES256' },
    { note: 'a number for x', jwk: { ...p256, x: 1 }, alg: 'ES256' },
    { note: 'an x with padding', jwk: { ...p256, x: `${p256.x}=` }, alg: 'ES256' },
    { note: 'an x in another spelling', jwk: { ...p256, x: respelled(p256.x ?? '') }, alg: 'ES256' },
    { note: 'an x with a leading zero', jwk: { ...p256, x: leadingZero(p256.x ?? '') }, alg: 'ES256' },
    { note: 'an Ed25519 x with a leading zero', jwk: { ...ed25519, x: leadingZero(ed25519.x ?? '') }, alg: 'EdDSA' },
    { note: 'a modulus of 1024 bits', jwk: rsa(1024), alg: 'RS256' },
    { note: 'a modulus of 2047 bits', jwk: { ...rsa2048, n: base64url(0x7f, ...ones(255)) }, alg: 'RS256' },
    { note: 'a modulus of 8193 bits', jwk: { ...rsa2048, n: base64url(1, ...ones(1024)) }, alg: 'RS256' },
    { note: 'a modulus with a leading zero', jwk: { ...rsa2048, n: leadingZero(rsa2048.n ?? '') }, alg: 'RS256' },
    { note: 'the exponent 1', jwk: { ...rsa2048, e: base64url(1) }, alg: 'RS256' },
    { note: 'the exponent 3', jwk: rsa(2048, 3), alg: 'RS256' },
    { note: 'the exponent 65535', jwk: { ...rsa2048, e: base64url(0xff, 0xff) }, alg: 'RS256' },
    { note: 'an even exponent', jwk: { ...rsa2048, e: base64url(1, 0, 2) }, alg: 'RS256' },
    { note: 'an exponent of 65 bits', jwk: { ...rsa2048, e: base64url(1, ...zeros(7), 1) }, alg: 'RS256' },
    { note: 'an exponent with a leading zero', jwk: { ...rsa2048, e: leadingZero('AQAB') }, alg: 'RS256' },
    { note: 'no exponent', jwk: { ...rsa2048, e: '' }, alg: 'RS256' },
    { note: 'an algorithm nobody knows', jwk: p256, alg: 'ES1024' },
    { note: 'a name every object has', jwk: p256, alg: 'constructor' },
  ])('is none: $note', ({ jwk, alg }) => {
    expect(readPublicJwk(jwk as Json | undefined, alg)).toBeUndefined()
  })

  it('has a nearest good neighbour: exponent 65539, modulus of 2048 bits', () => {
    const least = { kty: 'RSA', e: base64url(1, 0, 3), n: base64url(0x80, ...zeros(254), 1) }
    expect(readPublicJwk(least, 'PS256')?.jwk).toEqual(least)
  })
})

describe('algorithms for proofs', () => {
  it.each(['none', 'None', 'HS256', 'HS512', 'RSA-OAEP', 'es256', 'ES256K', ''])('never: `%s`', (alg) => {
    expect(isProofAlgorithm(alg)).toBe(false)
  })
  it.each(['ES256', 'RS256', 'PS256', 'EdDSA', 'Ed25519'])('possibly: %s', (alg) => {
    expect(isProofAlgorithm(alg)).toBe(true)
  })
})

describe('keys of proofs', () => {
  const read = (jwk: JWK, alg: string): PublicKey => readPublicJwk(jwk, alg)!

  it('are imported once', async () => {
    const keys = new ProofKeys()
    const first = await keys.get(read(p256, 'ES256'), 'ES256')
    expect(first?.type).toBe('public')
    expect(await keys.get(read(p256, 'ES256'), 'ES256')).toBe(first)
  })

  it('are kept apart by algorithm', async () => {
    const keys = new ProofKeys()
    const pkcs1 = await keys.get(read(rsa2048, 'RS256'), 'RS256')
    const pss = await keys.get(read(rsa2048, 'PS256'), 'PS256')
    expect([pkcs1?.algorithm.name, pss?.algorithm.name]).toEqual(['RSASSA-PKCS1-v1_5', 'RSA-PSS'])
  })

  it('are kept up to a number, and the one not asked for longest goes first', async () => {
    const keys = new ProofKeys(2)
    const [a, b, c] = [read(p256, 'ES256'), read(ec('P-256'), 'ES256'), read(ec('P-256'), 'ES256')]
    const [firstA, firstB] = [await keys.get(a, 'ES256'), await keys.get(b, 'ES256')]
    await keys.get(a, 'ES256')
    await keys.get(c, 'ES256')
    expect(keys.size).toBe(2)
    expect(await keys.get(a, 'ES256')).toBe(firstA)
    expect(await keys.get(b, 'ES256')).not.toBe(firstB)
  })

  it('are none, and not kept, when the point is not on the curve', async () => {
    const keys = new ProofKeys()
    const flipped = Buffer.from(p256.y ?? '', 'base64url')
    flipped[31] = (flipped[31] ?? 0) ^ 1
    expect(await keys.get(read({ ...p256, y: flipped.toString('base64url') }, 'ES256'), 'ES256')).toBeUndefined()
    expect(keys.size).toBe(0)
  })
})
