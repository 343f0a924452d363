import { describe, expect, it } from 'vitest'
import { itemsOf, membersOf, rawOf, stringOf, toPlain } from '../../../../lib/mcp/json-node.ts'
import { type JsonLimits, readJson } from '../../../../lib/mcp/json-reader.ts'

const limits: JsonLimits = { maxBytes: 64 * 1024 * 1024, maxDepth: 64, maxValues: 10_000_000 }
const read = (text: string | Uint8Array, more: Partial<JsonLimits> = {}) =>
  readJson(typeof text === 'string' ? Buffer.from(text) : text, { ...limits, ...more })
const outcome = (text: string | Uint8Array, more: Partial<JsonLimits> = {}): string => {
  const result = read(text, more)
  return result.ok ? 'ok' : `${result.refusal.why} at ${result.refusal.at}`
}
const node = (text: string) => {
  const result = read(text)
  if (!result.ok) throw new Error(result.refusal.why)
  return result.node
}

describe('what the reader accepts and refuses', () => {
  it.each([
    { note: 'an object', text: '{"a":1}', is: 'ok' },
    { note: 'white space of all four kinds around it', text: ' \t\r\n{ "a" : 1 , "b" : [ ] } \n', is: 'ok' },
    { note: 'a vertical tab around it', text: '\v{}', is: 'syntax at 0' },
    { note: 'a no-break space around it', text: '\u00a0{}', is: 'syntax at 0' },
    { note: 'nothing', text: '', is: 'syntax at 0' },
    { note: 'a second value', text: '{}{}', is: 'syntax at 2' },
    { note: 'a comment', text: '{}/**/', is: 'syntax at 2' },
    { note: 'a trailing comma in an object', text: '{"a":1,}', is: 'syntax at 7' },
    { note: 'a trailing comma in an array', text: '[1,]', is: 'syntax at 3' },
    { note: 'a bracket that closes the other kind', text: '[}', is: 'syntax at 1' },
    { note: 'a NUL after the value', text: '{}\0', is: 'syntax at 2' },

    { note: 'a byte order mark', text: '\ufeff{}', is: 'bom at 0' },
    { note: 'the same character inside a string', text: '"\ufeff"', is: 'ok' },
    { note: 'UTF-16', text: Buffer.from('{}', 'utf16le'), is: 'syntax at 1' },
    { note: 'a lone continuation byte', text: Buffer.from([0x22, 0x80, 0x22]), is: 'not_utf8 at 1' },
    { note: 'an overlong slash', text: Buffer.from([0x22, 0xc0, 0xaf, 0x22]), is: 'not_utf8 at 1' },
    { note: 'an overlong NUL in three bytes', text: Buffer.from([0x22, 0xe0, 0x80, 0x80, 0x22]), is: 'not_utf8 at 1' },
    { note: 'a surrogate in UTF-8', text: Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), is: 'not_utf8 at 1' },
    { note: 'the last code point', text: '"\u{10ffff}"', is: 'ok' },
    { note: 'one past the last', text: Buffer.from([0x22, 0xf4, 0x90, 0x80, 0x80, 0x22]), is: 'not_utf8 at 1' },
    {
      note: 'a sequence cut off, after good ones',
      text: Buffer.from([0x22, 0xc3, 0xa9, 0xf0, 0x9f]),
      is: 'not_utf8 at 3',
    },

    { note: 'a NUL in a string, escaped', text: '"\\u0000"', is: 'ok' },
    { note: 'a NUL in a string, raw', text: '"\0"', is: 'syntax at 1' },
    { note: 'a raw line feed in a string', text: '"a\nb"', is: 'syntax at 2' },
    { note: 'DEL in a string', text: '"\x7f"', is: 'ok' },
    { note: 'a surrogate pair by escapes', text: '"\\ud83d\\ude00"', is: 'ok' },
    { note: 'a high surrogate alone', text: '"\\ud83d"', is: 'lone_surrogate at 1' },
    { note: 'a high surrogate and a letter', text: '"\\ud83dx"', is: 'lone_surrogate at 1' },
    { note: 'a low surrogate alone', text: '"x\\ude00"', is: 'lone_surrogate at 2' },
    { note: 'two high surrogates', text: '"\\ud83d\\ud83d\\ude00"', is: 'lone_surrogate at 1' },
    { note: 'a lone surrogate in a key', text: '{"\\ud83d":1}', is: 'lone_surrogate at 2' },
    { note: 'an escape JSON does not have', text: '"\\x41"', is: 'syntax at 1' },
    { note: 'three hexadecimal digits', text: '"\\u041"', is: 'syntax at 1' },

    { note: 'the largest double', text: '1.7976931348623157e308', is: 'ok' },
    { note: 'ten times the largest double', text: '[1.7976931348623157e309]', is: 'number_out_of_range at 1' },
    { note: 'its negative', text: '-1e400', is: 'number_out_of_range at 0' },
    { note: '309 digits', text: '9'.repeat(309), is: 'number_out_of_range at 0' },
    { note: '308 digits', text: '9'.repeat(308), is: 'ok' },
    { note: '250 digits and a two-digit exponent', text: `${'9'.repeat(250)}e99`, is: 'number_out_of_range at 0' },
    { note: 'a number too small to tell from 0', text: '1e-400', is: 'ok' },
    { note: 'a leading zero', text: '01', is: 'syntax at 1' },
    { note: 'a plus sign', text: '+1', is: 'syntax at 0' },
    { note: 'hexadecimal', text: '0x10', is: 'syntax at 1' },
    { note: 'NaN', text: 'NaN', is: 'syntax at 0' },
    { note: 'a capital True', text: 'True', is: 'syntax at 0' },
  ])('$note: $is', ({ text, is }) => {
    expect(outcome(text)).toBe(is)
  })
})

describe('equal keys in one object', () => {
  const many = (count: number, last: string): string =>
    `{${Array.from({ length: count }, (_, i) => `"k${i}":0`).join(',')},${last}:1}`

  it.each([
    { note: 'next to each other', text: '{"a":1,"a":2}', is: 'duplicate_key at 7' },
    { note: 'differing in case', text: '{"a":1,"A":2}', is: 'ok' },
    { note: 'one of them escaped', text: '{"name":1,"n\\u0061me":2}', is: 'duplicate_key at 10' },
    { note: 'both escaped, differently', text: '{"\\u00e9":1,"\\u00E9":2}', is: 'duplicate_key at 12' },
    { note: 'one escaped, one in UTF-8', text: '{"é":1,"\\u00e9":2}', is: 'duplicate_key at 8' },
    { note: 'composed and decomposed, which are two keys', text: '{"\u00e9":1,"e\u0301":2}', is: 'ok' },
    { note: 'deep inside', text: '[{"a":[{"b":1,"b":2}]}]', is: 'duplicate_key at 14' },
    { note: 'in two objects of an array', text: '[{"a":1},{"a":2}]', is: 'ok' },
    { note: 'in an object and the one around it', text: '{"a":{"a":1},"b":{"a":1}}', is: 'ok' },
    { note: 'around an object that has other keys', text: '{"a":{"b":1},"a":2}', is: 'duplicate_key at 13' },
    { note: 'empty ones', text: '{"":1,"":2}', is: 'duplicate_key at 6' },
    { note: '__proto__ twice', text: '{"__proto__":1,"__proto__":2}', is: 'duplicate_key at 15' },
    { note: 'the sixteenth and its copy', text: many(16, '"k15"'), is: 'duplicate_key at 119' },
    { note: 'the first of a thousand and its copy', text: many(1000, '"k0"'), is: 'duplicate_key at 8891' },
    {
      note: 'the last of a thousand and its copy, escaped',
      text: many(1000, '"k99\\u0039"'),
      is: 'duplicate_key at 8891',
    },
    { note: 'a thousand and one more', text: many(1000, '"k1000"'), is: 'ok' },
    { note: 'a number and its copy among many', text: many(20, '"7":0,"7"'), is: 'duplicate_key at 157' },
    { note: 'keys that hash alike', text: '{"Aa":1,"BB":2}', is: 'ok' },
    { note: 'an escaped one and its copy after many others', text: many(5, '"\\u006b0"'), is: 'duplicate_key at 36' },
    { note: 'two after an escaped one', text: '{"\\u0061":1,"b":2,"b":3}', is: 'duplicate_key at 18' },
    { note: 'an escaped one, then the same inside', text: '{"\\u0061":{"a":1,"b":1},"b":1}', is: 'ok' },
    {
      note: 'many in one object, then the same in the next',
      text: `[${many(20, '"x"')},${many(20, '"x"')}]`,
      is: 'ok',
    },
  ])('$note: $is', ({ text, is }) => {
    expect(outcome(text)).toBe(is)
  })
})

describe('limits', () => {
  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)

  it.each([
    { note: 'as many bytes as allowed', text: '[1]', more: { maxBytes: 3 }, is: 'ok' },
    { note: 'a byte more', text: '[10]', more: { maxBytes: 3 }, is: 'too_large at 3' },
    { note: 'as deep as allowed', text: nested(4), more: { maxDepth: 4 }, is: 'ok' },
    { note: 'a level more', text: nested(5), more: { maxDepth: 4 }, is: 'too_deep at 4' },
    { note: 'objects count as levels too', text: '{"a":{"a":{"a":1}}}', more: { maxDepth: 2 }, is: 'too_deep at 10' },
    { note: 'levels next to each other do not add up', text: '[[],[],[],[]]', more: { maxDepth: 2 }, is: 'ok' },
    { note: 'as many values as allowed', text: '[1,2]', more: { maxValues: 3 }, is: 'ok' },
    { note: 'a value more', text: '[1,2,3]', more: { maxValues: 3 }, is: 'too_many_values at 5' },
  ])('$note: $is', ({ text, more, is }) => {
    expect(outcome(text, more)).toBe(is)
  })

  it('refuses to be asked for a depth that would overflow the stack', () => {
    expect(() => read('1', { maxDepth: 513 })).toThrow(RangeError)
  })
})

describe('what was read', () => {
  it('knows where each value lies in the bytes, also after characters of several bytes', () => {
    const top = node('{"é":"ü", "b" : [1.50, "\\u0061"]}')
    const [first, second] = membersOf(top)
    expect(membersOf(top).map(({ key }) => key)).toEqual(['é', 'b'])
    expect(first && [first.value.start, first.value.end, stringOf(first.value)]).toEqual([6, 10, 'ü'])
    expect(second && rawOf(second.value)).toBe('[1.50, "\\u0061"]')
    expect(second && itemsOf(second.value).map(rawOf)).toEqual(['1.50', '"\\u0061"'])
  })

  it('gives `__proto__` as an ordinary key, and pollutes nothing', () => {
    const plain = toPlain(node('{"__proto__":{"isAdmin":true},"constructor":1}')) as Record<string, unknown>
    expect(Object.getPrototypeOf(plain)).toBeNull()
    expect(Object.keys(plain)).toEqual(['__proto__', 'constructor'])
    expect(({} as Record<string, unknown>).isAdmin).toBeUndefined()
  })

  it('reads a view into a larger buffer by itself', () => {
    const result = readJson(Buffer.from('xx[7]yy').subarray(2, 5), limits)
    expect(result.ok && toPlain(result.node)).toEqual([7])
  })

  it('reads short and long texts alike, ASCII or not', () => {
    for (const filler of ['', 'x'.repeat(20_000), 'é'.repeat(10), 'é'.repeat(20_000)]) {
      const value = { filler, list: [true, false, null, -1.5, 'a"b\\c'], inner: { a: { b: [] } } }
      expect(toPlain(node(JSON.stringify(value)))).toEqual(value)
    }
  })
})

describe('hostile texts cost no more than their length', () => {
  // Far above what they take (tens of milliseconds), far below what a quadratic reader needs (minutes).
  const budgetMs = 20_000
  const million = Array.from({ length: 1_000_000 }, (_, i) => i)

  it.each([
    { note: 'a million keys', text: () => `{${million.map((i) => `"k${i}":0`).join()}}`, is: 'ok' },
    {
      note: 'keys that are numbers of one hash bucket',
      text: () =>
        `{${million
          .slice(0, 200_000)
          .map((i) => `"${i * 1024}":0`)
          .join()}}`,
      is: 'ok',
    },
    {
      note: 'long keys that hash alike',
      text: () => {
        const keys = million
          .slice(0, 15)
          .map(
            (i) =>
              `"${'x'.repeat(60_000)}${i.toString(2).padStart(4, '0').replaceAll('0', 'Aa').replaceAll('1', 'BB')}":0`,
          )
        return `[${`{${keys.join()}},`.repeat(8)}0]`
      },
      is: 'ok',
    },
    { note: 'a string of ten megabytes', text: () => `"${'x'.repeat(10_000_000)}"`, is: 'ok' },
    { note: 'a million escapes', text: () => `"${'\\u00e9'.repeat(1_000_000)}"`, is: 'ok' },
    { note: 'a million open brackets', text: () => '['.repeat(1_000_000), is: 'too_deep at 64' },
    { note: 'ten million digits', text: () => '9'.repeat(10_000_000), is: 'number_out_of_range at 0' },
    { note: 'ten million spaces', text: () => ' '.repeat(10_000_000), is: 'syntax at 10000000' },
    {
      note: 'a bad byte after ten megabytes of good ones',
      text: () => Buffer.concat([Buffer.from('é'.repeat(5_000_000)), Buffer.from([0xff])]),
      is: 'not_utf8 at 10000000',
    },
  ])('$note', { timeout: 60_000 }, ({ text, is }) => {
    const bytes = text()
    const startMs = performance.now()
    expect(outcome(bytes)).toBe(is)
    expect(performance.now() - startMs).toBeLessThan(budgetMs)
  })
})
