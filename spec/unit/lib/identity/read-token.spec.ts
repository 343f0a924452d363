import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { maxTokenLength, readJws, readToken } from '../../../../lib/identity/read-token.ts'

const part = (text: string | Uint8Array): string => Buffer.from(text as string).toString('base64url')
const head = part('{"alg":"ES256"}')
const claims = part('{"sub":"bob"}')
const token = `${head}.${claims}.c2ln`

const said = (text: string): string => {
  const read = readToken(text)
  return read.ok ? 'ok' : read.because
}

describe('a token', () => {
  it('says what its parts say', () => {
    expect(readToken(token)).toEqual({ ok: true, header: { alg: 'ES256' }, payload: { sub: 'bob' } })
  })

  it.each<[note: string, text: string, because: string]>([
    ['nothing', '', 'spelling'],
    ['one part', head, 'spelling'],
    ['two parts', `${head}.${claims}`, 'spelling'],
    ['four parts', `${token}.x`, 'spelling'],
    ['five parts, as what is encrypted', `${token}.x.y`, 'spelling'],
    ['T35 no signature', `${head}.${claims}.`, 'spelling'],
    ['no claims', `${head}..c2ln`, 'spelling'],
    ['no header', `.${claims}.c2ln`, 'spelling'],
    ['T46 a space before it', ` ${token}`, 'spelling'],
    ['T46 a space in it', token.replace('.', '. '), 'spelling'],
    ['T46 a line end after it', `${token}\n`, 'spelling'],
    ['T46 a line end in it', token.replace('.', '\n.'), 'spelling'],
    ['T46 padding', `${token}=`, 'spelling'],
    ['T46 padding of a part inside', `${head}=.${claims}.c2ln`, 'spelling'],
    ['T46 the other base64', `${part('{"alg":"ES256","kid":"??>>"}').replace('_', '/')}.${claims}.c2ln`, 'spelling'],
    // Three bytes are four characters, two are three, and of the last one two bits are nobody's.
    ['T46 bits that nobody reads, in the signature', `${head}.${claims}.c2k`.replace(/k$/, 'l'), 'spelling'],
    ['T46 bits that nobody reads, in the claims', `${head}.${part('{"a":1}')}.c2ln`.replace(/Q\./, 'R.'), 'spelling'],
    ['T46 a part of one character too many', `${head}.${claims}.c2lnc`, 'spelling'],
    ['T46 a letter that looks alike', token.replace('e', 'е'), 'spelling'],
    ['a header that is no JSON', `${part('{alg}')}.${claims}.c2ln`, 'header'],
    ['a header that is a list', `${part('[]')}.${claims}.c2ln`, 'header'],
    ['T38 a header with a name twice', `${part('{"kid":"a","kid":"b"}')}.${claims}.c2ln`, 'header'],
    [
      'a header with a name twice, one of them escaped',
      `${part('{"alg":"a","\\u0061lg":"b"}')}.${claims}.c2ln`,
      'header',
    ],
    ['a header with a byte order mark', `${part('\ufeff{"alg":"ES256"}')}.${claims}.c2ln`, 'header'],
    ['claims that are no JSON', `${head}.${part('sub=bob')}.c2ln`, 'payload'],
    ['claims that are a text', `${head}.${part('"bob"')}.c2ln`, 'payload'],
    ['claims that are null', `${head}.${part('null')}.c2ln`, 'payload'],
    ['claims that are a token again', `${head}.${part(token)}.c2ln`, 'payload'],
    ['claims with a name twice', `${head}.${part('{"sub":"bob","sub":"alice"}')}.c2ln`, 'payload'],
    ['claims with a name twice deep in them', `${head}.${part('{"act":{"sub":"a","sub":"b"}}')}.c2ln`, 'payload'],
    ['T45 claims with a number beyond all', `${head}.${part('{"exp":1e400}')}.c2ln`, 'payload'],
    ['claims that are not UTF-8', `${head}.${part(Buffer.from('{"sub":"é"}', 'latin1'))}.c2ln`, 'payload'],
    ['claims with more after them', `${head}.${part('{"sub":"bob"}{}')}.c2ln`, 'payload'],
    ['claims that are too deep', `${head}.${part(`{"a":${'['.repeat(40)}${']'.repeat(40)}}`)}.c2ln`, 'payload'],
  ])('is none: %s', (_note, text, because) => {
    expect(said(text)).toBe(because)
  })

  it('may be 16 KiB long, and not longer', () => {
    const padded = (length: number): string =>
      `${head}.${claims}.${'A'.repeat(length - head.length - claims.length - 2)}`
    const most = [0, 1, 2, 3].map((less) => padded(maxTokenLength - less)).find((text) => said(text) === 'ok')
    expect(most).toBeDefined()
    expect(maxTokenLength).toBe(16_384)
    expect(said(padded(maxTokenLength + 1))).toBe('length')
    expect(said('x'.repeat(10_000_000))).toBe('length')
  })

  it('gives claims without a prototype to be taken for claims', () => {
    const read = readToken(`${head}.${part('{"__proto__":{"sub":"alice"}}')}.c2ln`)
    expect(read.ok && read.payload.sub).toBeUndefined()
    expect(read.ok && 'toString' in read.payload).toBe(false)
    expect(({} as { sub?: unknown }).sub).toBeUndefined()
  })
})

describe('readJws', () => {
  it('does not look at what was signed', () => {
    expect(readJws(`${head}.${part('Test')}.c2ln`)).toEqual({
      ok: true,
      header: { alg: 'ES256' },
      payload: Buffer.from('Test'),
    })
  })
})
