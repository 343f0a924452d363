import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { headerFault, isAudience, timeFault } from '../../../../lib/identity/judge-token.ts'
import type { TokenType } from '../../../../lib/identity/profiles/profile.ts'

describe('a header', () => {
  const good = { alg: 'ES256', typ: 'at+jwt', kid: 'k' }
  const fault = (
    change: Record<string, unknown>,
    types: readonly TokenType[] = ['at+jwt'],
    algorithms: readonly string[] = ['ES256', 'RS256'],
  ): string => headerFault({ ...good, ...change }, algorithms, types) ?? 'none'

  it.each<[note: string, change: Record<string, unknown>, types?: readonly TokenType[]]>([
    ['the type', {}],
    ['the type in full', { typ: 'application/at+jwt' }],
    ['the type in another case', { typ: 'AT+JWT' }],
    ['the type in full, in another case', { typ: 'Application/AT+jwt' }],
    ['another algorithm of the list', { alg: 'RS256' }],
    ['no name of a key', { kid: undefined }],
    ['a long name of a key', { kid: 'k'.repeat(256) }],
    ['thumbprints, which are no keys', { x5t: 'x', 'x5t#S256': 'x' }],
    ['members nobody knows', { cty: 'x', zip: 'DEF', nonce: 'x' }],
    ['the type JWT where that is one', { typ: 'JWT' }, ['at+jwt', 'jwt']],
    ['no type where there need be none', { typ: undefined }, ['absent', 'jwt']],
  ])('is one with %s', (_note, change, types) => {
    expect(fault(change, types)).toBe('none')
  })

  it.each<[note: string, change: Record<string, unknown>, is: string]>([
    ['T35 none', { alg: 'none' }, 'alg'],
    ['T35 none in another case', { alg: 'nOnE' }, 'alg'],
    ['T36 HS256', { alg: 'HS256' }, 'alg'],
    ['an algorithm that is not of the list', { alg: 'PS256' }, 'alg'],
    ['an algorithm in another case', { alg: 'es256' }, 'alg'],
    ['an algorithm with a space', { alg: 'ES256 ' }, 'alg'],
    ['no algorithm', { alg: undefined }, 'alg'],
    ['a list of algorithms', { alg: ['ES256'] }, 'alg'],
    ['T37 the address of keys', { jku: 'https://evil.example' }, 'jku'],
    ['T37 a key', { jwk: {} }, 'jwk'],
    ['T37 the address of a certificate', { x5u: 'https://evil.example' }, 'x5u'],
    ['T37 a certificate', { x5c: [] }, 'x5c'],
    ['T37 something critical', { crit: ['exp'] }, 'crit'],
    ['T37 nothing critical', { crit: [] }, 'crit'],
    ['T37 a payload that is not encoded', { b64: false }, 'b64'],
    ['T37 a payload that is', { b64: true }, 'b64'],
    ['T37 a key that is null', { jwk: null }, 'jwk'],
    ['T38 a key’s name that is a number', { kid: 1 }, 'kid'],
    ['T38 a key’s name that is null', { kid: null }, 'kid'],
    ['T38 a key’s name that is a list', { kid: ['k'] }, 'kid'],
    ['T38 an empty name', { kid: '' }, 'kid'],
    ['T38 a name that is too long', { kid: 'k'.repeat(257) }, 'kid'],
    ['T43 the type JWT', { typ: 'JWT' }, 'typ'],
    ['T43 an ID-JAG', { typ: 'oauth-id-jag+jwt' }, 'typ'],
    ['T43 a proof', { typ: 'dpop+jwt' }, 'typ'],
    ['T43 no type', { typ: undefined }, 'typ'],
    ['T43 an empty type', { typ: '' }, 'typ'],
    ['T43 a type that is null', { typ: null }, 'typ'],
    ['T43 a list of types', { typ: ['at+jwt'] }, 'typ'],
    ['T43 a type twice in full', { typ: 'application/application/at+jwt' }, 'typ'],
    ['T43 a type with a parameter', { typ: 'at+jwt; v=1' }, 'typ'],
  ])('is none with %s', (_note, change, is) => {
    expect(fault(change)).toBe(is)
  })

  it('is none with the word that stands for no type', () => {
    expect(fault({ typ: 'absent' }, ['absent', 'jwt'])).toBe('typ')
    expect(fault({ typ: 'JWT' }, ['absent'])).toBe('typ')
  })

  it('has no algorithm that is good where the list is empty', () => {
    expect(fault({}, ['at+jwt'], [])).toBe('alg')
  })
})

describe('an audience', () => {
  const [mine, alsoMine, companion, other] = ['https://gw/mcp', 'api://mcp', 'https://idp/userinfo', 'https://x']

  it.each<[note: string, aud: unknown, is: boolean]>([
    ['the own one', mine, true],
    ['another own one', alsoMine, true],
    ['the own one, in a list', [mine], true],
    ['both own ones', [mine, alsoMine], true],
    ['the own one and one that may stand beside', [companion, mine], true],
    ['the own one twice', [mine, mine], true],
    ['the one that may stand beside, alone', companion, false],
    ['the one that may stand beside, alone in a list', [companion], false],
    ['somebody else’s', other, false],
    ['T43 the own one and somebody else’s', [mine, other], false],
    ['T43 all of them and somebody else’s', [companion, mine, other], false],
    ['the own one with a slash at its end', `${mine}/`, false],
    ['the own one in another case', mine.toUpperCase(), false],
    ['what begins with the own one', `${mine}/x`, false],
    ['the own one, and a space', `${mine} `, false],
    ['both own ones in one text', `${mine} ${alsoMine}`, false],
    ['nothing', undefined, false],
    ['null', null, false],
    ['an empty text', '', false],
    ['an empty list', [], false],
    ['a number in the list', [mine, 7], false],
    ['a list in the list', [[mine]], false],
    ['null in the list', [mine, null], false],
    ['an object', { [mine]: mine, length: 1, 0: mine }, false],
  ])('%s: %s', (_note, aud, is) => {
    expect(isAudience(aud, [mine, alsoMine], [companion])).toBe(is)
  })

  it('is none where none is accepted', () => {
    expect(isAudience(mine, [], [mine])).toBe(false)
  })
})

describe('T45 a time', () => {
  const nowS = 1_000_000
  const latestS = 253_402_300_799

  it.each<[note: string, payload: Record<string, unknown>, fault: string]>([
    ['over in a second', { exp: nowS + 1 }, 'none'],
    ['over now, within the skew', { exp: nowS }, 'none'],
    ['over within the last second of the skew', { exp: nowS - 29 }, 'none'],
    ['over a moment within the skew', { exp: nowS - 29.999 }, 'none'],
    ['over by the skew exactly', { exp: nowS - 30 }, 'exp'],
    ['over for longer', { exp: nowS - 31 }, 'exp'],
    ['over at the last instant there is', { exp: latestS }, 'none'],
    ['over after it', { exp: latestS + 1 }, 'exp'],
    ['good from now on', { exp: nowS + 9, nbf: nowS }, 'none'],
    ['good from the skew on exactly', { exp: nowS + 99, nbf: nowS + 30 }, 'none'],
    ['good from later on', { exp: nowS + 99, nbf: nowS + 30.001 }, 'nbf'],
    ['issued at the skew exactly', { exp: nowS + 99, iat: nowS + 30 }, 'none'],
    ['issued later', { exp: nowS + 99, iat: nowS + 31 }, 'iat'],
    ['issued an hour from now, the clock an hour behind', { exp: nowS + 7_200, iat: nowS + 3_600 }, 'iat'],
    ['issued long ago', { exp: nowS + 9, iat: 0, nbf: 0 }, 'none'],
    ['without an end', {}, 'exp'],
    ...[null, '1000300', 1e300, Infinity, NaN, -1, -0.5, true, [nowS + 9], {}].map(
      (exp): [string, Record<string, unknown>, string] => [`with the end ${inspect(exp)}`, { exp }, 'exp'],
    ),
    ['with a beginning that is a text', { exp: nowS + 9, nbf: String(nowS) }, 'nbf'],
    ['with a beginning that is null', { exp: nowS + 9, nbf: null }, 'nbf'],
    ['with a beginning before the epoch', { exp: nowS + 9, nbf: -1 }, 'nbf'],
    ['issued at a text', { exp: nowS + 9, iat: String(nowS) }, 'iat'],
    ['issued at null', { exp: nowS + 9, iat: null }, 'iat'],
  ])('%s', (_note, payload, fault) => {
    expect(timeFault(payload, nowS, 30) ?? 'none').toBe(fault)
  })

  it('has no skew where none is tolerated', () => {
    expect(timeFault({ exp: nowS }, nowS, 0)).toBe('exp')
    expect(timeFault({ exp: nowS + 0.001 }, nowS, 0)).toBeUndefined()
    expect(timeFault({ exp: nowS + 9, nbf: nowS + 0.001 }, nowS, 0)).toBe('nbf')
    expect(timeFault({ exp: nowS + 9, iat: nowS, nbf: nowS }, nowS, 0)).toBeUndefined()
  })
})
