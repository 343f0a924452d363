import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { publicKeysIn } from '../../../../adapters/jwks/public-keys.ts'
import { isSigned, keyFor } from '../../../../adapters/jwks/verify-signature.ts'
import { headerFault } from '../../../../lib/identity/judge-token.ts'
import { readJws } from '../../../../lib/identity/read-token.ts'
import type { JsonObject } from '../../../../lib/mcp/message.ts'

/** Project Wycheproof's test vectors for JOSE: signatures, keys and key sets, and both together. */
const folder = new URL('../../../../../shared/vectors/wycheproof/', import.meta.url)

interface Group {
  readonly comment: string
  readonly public?: JsonObject
  readonly private: JsonObject
  readonly tests: readonly {
    readonly tcId: number
    readonly comment: string
    readonly jws?: string
    readonly result: 'valid' | 'invalid'
  }[]
}

const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']

/** What becomes of a token that is held against the keys of a group: `ok`, or what stopped it. */
async function judge(jws: string, keys: JsonObject): Promise<string> {
  const read = readJws(jws)
  if (!read.ok) return read.because
  const { kid, alg } = read.header
  const fault = headerFault(read.header, algorithms, ['absent', 'jwt', 'at+jwt'])
  if (fault !== undefined) return fault
  try {
    const document = Array.isArray(keys.keys) ? keys : { keys: [keys] }
    const key = keyFor(publicKeysIn(document), kid as string | undefined, alg as string)
    if (!key) return 'key'
    return (await isSigned(jws, key, alg as string)) ? 'ok' : 'signature'
  } catch (error) {
    return (error as Error).message
  }
}

/** Tests of a file whose verdict is another than ours. @property is ours. @property why what for */
interface Deviation {
  readonly tcIds: readonly number[]
  readonly is: string
  readonly why: string
}

const hmac = 'HMAC is not to be had: whoever can verify such a token can write one (RFC 8725 3.1)'
const badKey = (kid: string): string => `the JWKS document has a bad key (${kid})`
const roca = `${badKey('kid-rsa-roca-sign')}: RSA of a kind that can be factored (CVE-2017-15361)`
const noKey = 'the JWKS document has no key to verify signatures with'

/**
 * Each file: how many signatures it has, our verdicts, and every one that is not the file's.
 *
 * All of them are refusals. Nothing the files call invalid is accepted.
 */
const files: Readonly<
  Record<
    string,
    {
      readonly signatures: number
      readonly verdicts: Readonly<Record<string, number>>
      readonly deviations: readonly Deviation[]
    }
  >
> = {
  'json_web_signature_test.json': {
    signatures: 401,
    verdicts: { ok: 26, signature: 290, spelling: 55, alg: 14, key: 9, jwk: 1, [noKey]: 6 },
    deviations: [
      { tcIds: [1, 348, 352, 357, 358, 359, 376, 377], is: 'alg', why: hmac },
      {
        tcIds: [259, 264, 268, 272, 320, 325],
        is: 'spelling',
        why: 'an empty payload is a JWS, but no access token',
      },
      {
        tcIds: [346, 350],
        is: 'key',
        why: 'the key is for PS256 by its `alg`, the token says PS384 (RFC 7517 4.4)',
      },
      {
        tcIds: [347, 351],
        is: noKey,
        why: 'the key is for ES521, which is no algorithm (RFC 7518 3.1 has ES512)',
      },
      {
        tcIds: [372, 373],
        is: 'spelling',
        why: 'the file goes by decoders that skip what is not base64url (RFC 7515 2 has no such characters)',
      },
    ],
  },
  'json_web_key_test.json': {
    signatures: 26,
    verdicts: { ok: 1, alg: 15, spelling: 2, [noKey]: 6, [badKey('kid-ec-sign')]: 1, [roca]: 1 },
    deviations: [{ tcIds: [2, 13, 14, 15], is: 'alg', why: hmac }],
  },
  'json_web_crypto_test.json': {
    signatures: 49,
    verdicts: { ok: 2, signature: 4, spelling: 31, alg: 8, key: 2, jwk: 1, [roca]: 1 },
    deviations: [{ tcIds: [1, 48], is: 'alg', why: hmac }],
  },
}

for (const [name, expected] of Object.entries(files)) {
  const file = new URL(name, folder)
  if (!existsSync(file)) {
    console.warn(`Wycheproof's ${name} is not at ${folder.pathname}, its spec is skipped`)
    describe.skip(`T47 Wycheproof’s ${name}`, () => {
      it('is not here')
    })
    continue
  }
  const { testGroups } = JSON.parse(readFileSync(file, 'utf8')) as { testGroups: readonly Group[] }
  // What has no `jws` is encrypted: nobody here decrypts.
  const tests = testGroups.flatMap(({ tests: those, public: publicKeys, private: all, comment: group }) =>
    those.flatMap(({ jws, ...test }) => (jws === undefined ? [] : [{ ...test, jws, group, keys: publicKeys ?? all }])),
  )

  describe(`T47 Wycheproof’s ${name}`, () => {
    it('is all there', () => {
      expect(tests).toHaveLength(expected.signatures)
    })

    it('is judged as it says, but for what is listed', async () => {
      const deviations = new Map<number, string>()
      const verdicts: Record<string, number> = {}
      for (const { tcId, jws, keys, result } of tests) {
        const is = await judge(jws, keys)
        verdicts[is] = (verdicts[is] ?? 0) + 1
        if ((is === 'ok') !== (result === 'valid')) deviations.set(tcId, is)
      }
      const listed = expected.deviations.flatMap(({ tcIds, is }) => tcIds.map((tcId) => [tcId, is] as const))
      expect([...deviations].sort(([a], [b]) => a - b)).toEqual(listed.sort(([a], [b]) => a - b))
      // Refusals say why: were they all `alg`, the signatures would not have been looked at.
      expect(verdicts).toEqual(expected.verdicts)
    })

    it('has nothing that is accepted though invalid', async () => {
      const accepted: number[] = []
      for (const { tcId, jws, keys, result } of tests) {
        if (result === 'invalid' && (await judge(jws, keys)) === 'ok') accepted.push(tcId)
      }
      expect(accepted).toEqual([])
    })

    if (name === 'json_web_signature_test.json') {
      const test = (tcId: number): (typeof tests)[number] => {
        const found = tests.find((one) => one.tcId === tcId)
        if (!found) throw new Error(`there is no ${tcId}`)
        return found
      }

      it.each([360, 365, 368, 374, 375])('T46 %i is another spelling, and refused for that', async (tcId) => {
        expect(test(tcId).result).toBe('invalid')
        expect(await judge(test(tcId).jws, test(tcId).keys)).toBe('spelling')
      })

      it.each([367, 370])('T46 %i has lost its padding in the file, and is refused with it', async (tcId) => {
        // As it stands it is the token of 357, which the file calls valid.
        expect(test(tcId).jws).toBe(test(357).jws)
        expect(test(tcId).result).toBe('invalid')
        for (const padded of [`${test(tcId).jws}=`, test(tcId).jws.replace(/\.[^.]*$/, '==$&')]) {
          expect(await judge(padded, test(tcId).keys)).toBe('spelling')
        }
      })
    }
  })
}
