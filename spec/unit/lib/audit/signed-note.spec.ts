import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  isKeyName,
  type NoteKey,
  openNote,
  readVerifierKey,
  signNote,
  verifierKey,
} from '../../../../lib/audit/signed-note.ts'

const makeKey = (): KeyObject => generateKeyPairSync('ed25519').privateKey
const name = 'example.com/log'
const privateKey = makeKey()
const vkey = verifierKey(name, privateKey)
const key = readVerifierKey(vkey)
const text = 'a text\n\nof two paragraphs\n'
const note = signNote(text, { name, privateKey })
const signatures = note.slice(text.length + 1)

const because = (given: string, keys: readonly NoteKey[] = [key]): string => {
  const opened = openNote(given, keys)
  return opened.ok ? 'it was good' : opened.because
}
const line = (by: string, id: Uint8Array, signature: Uint8Array): string =>
  `— ${by} ${Buffer.concat([id, signature]).toString('base64')}\n`
const strangers = (count: number): string =>
  Array.from({ length: count }, (_, n) => line(`stranger-${n}`, Uint8Array.of(0, 0, 0, n), Buffer.alloc(64, n))).join(
    '',
  )

/** Of 68 bytes the last letter has two bits to spare, which are zero: the next letter means the same. */
const secondSpelling = (last: string): string => String.fromCharCode(last.charCodeAt(0) + 1)

/** Our key as one of another algorithm; everything else about it is right. */
function vkeyOfType(type: number): string {
  const [raw = ''] = /[A-Za-z0-9+/=]{44}$/.exec(vkey) ?? []
  const typed = Buffer.from(raw, 'base64').fill(type, 0, 1)
  const id = createHash('sha256').update(`${name}\n`).update(typed).digest('hex').slice(0, 8)
  return `${name}+${id}+${typed.toString('base64')}`
}

describe('T27 the example of c2sp.org/signed-note', () => {
  const example = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k'
  const signed = `This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
`
  it('is good under its key', () => {
    const known = readVerifierKey(example)
    expect(openNote(signed, [known])).toEqual({ ok: true, text: 'This is an example message.\n', by: [known] })
    expect(verifierKey('example.com/foo', known.publicKey)).toBe(example)
  })

  it('is not with one letter changed', () => {
    expect(because(signed.replace('example m', 'example M'), [readVerifierKey(example)])).toBe(
      'the signature of example.com/foo is not of this text',
    )
  })
})

describe('T27 a signed note', () => {
  it('is read as what was signed, by whom', () => {
    expect(openNote(note, [key])).toEqual({ ok: true, text, by: [key] })
  })

  it('is not good where no key that is known has signed it', () => {
    expect(because(note, [])).toBe('no key that is known has signed it')
  })

  it('ignores signatures of unknown keys, before and behind the known one', () => {
    expect(because(`${text}\n${strangers(1)}${signatures}${strangers(2)}`)).toBe('it was good')
  })

  it('ignores a signature that shares its name, or its id, but not both, with a known key', () => {
    const other = makeKey()
    const sameName = line(name, Uint8Array.of(1, 2, 3, 4), sign(null, Buffer.from(text), other))
    const sameId = line('example.com/other', key.keyId, sign(null, Buffer.from(text), other))
    expect(because(`${text}\n${sameName}${sameId}${signatures}`)).toBe('it was good')
    expect(because(`${text}\n${sameName}${sameId}`)).toBe('no key that is known has signed it')
  })

  it('is refused as a whole for one bad signature of a known key, also beside a good one', () => {
    const bad = line(name, key.keyId, sign(null, Buffer.from('another\n'), privateKey))
    expect(because(`${text}\n${bad}`)).toBe('the signature of example.com/log is not of this text')
    expect(because(`${text}\n${signatures}${bad}`)).toBe('the signature of example.com/log is not of this text')
    expect(because(`${text}\n${line(name, key.keyId, Buffer.alloc(63))}`)).toContain('is not of this text')
  })

  it('may have 17 signatures, and 100, not more', () => {
    expect(because(`${text}\n${strangers(16)}${signatures}`)).toBe('it was good')
    expect(because(`${text}\n${strangers(99)}${signatures}`)).toBe('it was good')
    expect(because(`${text}\n${strangers(100)}${signatures}`)).toBe('it has more than 100 signatures')
  })

  it('names every known key that signed it', () => {
    const other = makeKey()
    const otherKey = readVerifierKey(verifierKey('other', other))
    const both = note + signNote(text, { name: 'other', privateKey: other }).slice(text.length + 1)
    expect(openNote(both, [otherKey, key])).toMatchObject({ ok: true, by: [key, otherKey] })
  })

  it.each([
    ['without a last line feed', note.slice(0, -1)],
    ['without signatures', `${text}\n`],
    ['without the empty line', text + signatures],
    ['without a text', signatures],
    ['with an empty line behind the signatures', `${note}\n`],
    ['with a hyphen for the dash', note.replace('—', '-')],
    ['with two spaces', note.replace('— ', '—  ')],
    ['with a carriage return', note.replaceAll('\n', '\r\n')],
    ['with a tab in the text', note.replace('a text', 'a\ttext')],
    ['with an escape in the text', note.replace('a text', 'a \u001b[31mtext')],
    ['with a lone surrogate in the text', note.replace('a text', 'a \ud800text')],
    ['with base64 without padding', note.replace(/=*\n$/, '\n')],
    ['with a key id and no signature', `${text}\n— ${name} ${key.keyId.toString('base64')}\n`],
    ['which is empty', ''],
  ])('is none %s', (_how, bent) => {
    expect(because(bent)).not.toBe('it was good')
  })

  it('has one spelling, though another means the same bytes', () => {
    const [signed = ''] = /[^ ]+(?=\n$)/.exec(note) ?? []
    const other = signed.replace(/.(?==$)/, secondSpelling)
    expect(Buffer.from(other, 'base64')).toEqual(Buffer.from(signed, 'base64'))
    expect(because(note.replace(signed, other))).toBe('a line of its signatures is none')
  })

  it('has its last empty line between text and signatures, whatever the text looks like', () => {
    const tricky = `x\n\n— ${name} AAAAAAAA\n`
    const signed = signNote(tricky, { name, privateKey })
    expect(openNote(signed, [key])).toMatchObject({ ok: true, text: tricky })
  })

  it.each(['no line feed', 'tab\t\n', 'nul\0\n', 'escape\u001b\n', 'lone \udc00\n'])('is not made of %j', (bent) => {
    expect(() => signNote(bent, { name, privateKey })).toThrow(RangeError)
  })
})

describe('T27 a verifier key', () => {
  it.each([
    ['another algorithm', vkeyOfType(0x04), 'is no Ed25519 verifier key'],
    ['a wrong id', vkey.replace(/\+[0-9a-f]{8}\+/, '+00000000+'), 'has another key id than its key'],
    ['another name', vkey.replace('example.com', 'example.org'), 'has another key id than its key'],
    ['an id in capitals', vkey.replace(key.keyId.toString('hex'), 'ABCDEF01'), 'is no Ed25519 verifier key'],
    ['no name', vkey.slice(name.length), 'is no Ed25519 verifier key'],
    ['a space in its name', vkey.replace('example', 'exam ple'), 'is no Ed25519 verifier key'],
    ['a key too short', vkey.slice(0, -4), 'is no Ed25519 verifier key'],
    ['a line feed', `${vkey}\n`, 'is no Ed25519 verifier key'],
    ['nothing', '', 'is no Ed25519 verifier key'],
  ])('is none with %s', (_how, bent, why) => {
    expect(() => readVerifierKey(bent)).toThrow(why)
  })

  it('is read as what it was made of', () => {
    expect(vkeyOfType(0x01)).toBe(vkey)
  })

  it.each(['', 'a b', 'a+b', 'a\u00a0b', 'a\nb', 'a\u0085b', 'a\u2003b'])('has no name like %j', (bent) => {
    expect(isKeyName(bent)).toBe(false)
    expect(() => verifierKey(bent, privateKey)).toThrow(RangeError)
  })
})
