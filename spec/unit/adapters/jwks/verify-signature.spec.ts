import { Buffer } from 'node:buffer'
import { constants, generateKeyPairSync, sign } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type PublicKey, publicKeysIn } from '../../../../adapters/jwks/public-keys.ts'
import { isSigned, keyFor } from '../../../../adapters/jwks/verify-signature.ts'
import type { JsonObject } from '../../../../lib/mcp/message.ts'

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const jwk = publicKey.export({ format: 'jwk' }) as JsonObject

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
function signed(alg: 'RS256' | 'PS256'): string {
  const text = `${part({ alg })}.${part({ sub: 'bob' })}`
  const padding = alg === 'PS256' ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } : {}
  return `${text}.${sign('sha256', Buffer.from(text), { key: privateKey, ...padding }).toString('base64url')}`
}
function only(change: JsonObject = {}): PublicKey {
  const [key] = publicKeysIn({ keys: [{ ...jwk, ...change }] })
  return key ?? expect.fail('there is no key')
}

describe('a signature', () => {
  it.each(['RS256', 'PS256'] as const)('by %s is one of the key', async (alg) => {
    expect(await isSigned(signed(alg), only(), alg)).toBe(true)
    expect(await isSigned(signed(alg), only({ alg }), alg)).toBe(true)
  })

  it('is none by an algorithm the key is not for, however good it is', async () => {
    expect(await isSigned(signed('RS256'), only({ alg: 'PS256' }), 'RS256')).toBe(false)
    expect(await isSigned(signed('PS256'), only({ alg: 'RS256' }), 'PS256')).toBe(false)
  })

  it('is none by another algorithm than the caller has judged', async () => {
    expect(await isSigned(signed('RS256'), only(), 'PS256')).toBe(false)
    expect(await isSigned(signed('PS256'), only(), 'RS256')).toBe(false)
    expect(await isSigned(signed('RS256'), only(), 'none')).toBe(false)
  })

  it('is none over other claims', async () => {
    const [head, , signature] = signed('RS256').split('.')
    expect(await isSigned([head, part({ sub: 'alice' }), signature].join('.'), only(), 'RS256')).toBe(false)
  })
})

describe('keyFor', () => {
  const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' }) as JsonObject
  const keys = publicKeysIn({ keys: [{ ...jwk, kid: 'a', alg: 'RS256' }, { ...other, kid: 'b' }, other] })

  it.each<[note: string, kid: string | undefined, alg: string, id: string | undefined | false]>([
    ['by its name', 'a', 'RS256', 'a'],
    ['by its name, among several of its algorithm', 'b', 'RS256', 'b'],
    ['of no other algorithm under its name', 'a', 'PS256', false],
    ['of no other name', 'c', 'RS256', false],
    ['of no name, where there are several', undefined, 'RS256', false],
  ])('gives the key %s', (_note, kid, alg, id) => {
    expect(keyFor(keys, kid, alg)?.id ?? false).toBe(id)
  })

  it('gives the only key of an algorithm to a token that names none', () => {
    expect(keyFor(keys.slice(0, 1), undefined, 'RS256')?.id).toBe('a')
  })
})
